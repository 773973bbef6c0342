// The variants of a kernel that works row by row and sums over rows with rowSum: WG threads keep a row in registers, PER
// columns each. simt: a workgroup takes a row. cpu: it is one subgroup and takes R rows in turn, without barriers.
import {
  type AdapterTraits,
  type BindingTypes,
  ceilDiv,
  fold,
  type ParamTypes,
  variant,
  type Wgsl,
} from '../kernel.ts';
import rowsum from './rowsum.wgsl';
import subgroupsum from './subgroupsum.wgsl';

export interface RowKnobs {
  WG: number;
  PER: number;
}

/** About four columns a thread. */
export function rowThreads(cols: number): RowKnobs {
  const WG = Math.min(256, Math.max(32, 2 ** Math.ceil(Math.log2(cols / 4))));
  return { WG, PER: ceilDiv(cols, WG) };
}

/** One subgroup for a row; null where its unrolled loops would take seconds to compile. */
export function rowLanes(cols: number, { subgroupMaxSize: WG }: AdapterTraits): RowKnobs | null {
  return cols <= 96 * WG ? { WG, PER: ceilDiv(cols, WG) } : null;
}

/** A kernel's text for a workgroup of one subgroup; `subgroupsum` goes with it. */
export const oneSubgroup = <W extends { readonly text: string }>(wgsl: W): W => ({
  ...wgsl,
  text: `enable subgroups;\n${wgsl.text}`,
});
export { rowsum, subgroupsum };

/** `size` gives rows and columns of a problem, `knobs` further knobs that follow from it. */
export function byRows<B extends BindingTypes, P extends ParamTypes, K extends RowKnobs & { R: number }>(
  wgsl: Wgsl<B, P, K>,
  size: (problem: { [N in keyof P]: number }) => { rows: number; cols: number },
  lib: readonly string[] = [],
  knobs: (problem: { [N in keyof P]: number }) => Partial<K> = () => ({}),
) {
  const simt = variant(wgsl, {
    lib: [rowsum, ...lib],
    grid: (problem) => fold(size(problem).rows),
    tune: (problem) => ({ ...knobs(problem), ...rowThreads(size(problem).cols), R: 1 }),
  });
  const cpu = variant(oneSubgroup(wgsl), {
    lib: [subgroupsum, ...lib],
    needs: ['subgroups'],
    grid: (problem) => fold(ceilDiv(size(problem).rows, problem.R)),
    tune: (problem, adapter) => {
      const { rows, cols } = size(problem);
      const lanes = rowLanes(cols, adapter);
      return lanes && { ...knobs(problem), ...lanes, R: ceilDiv(rows, 128) };
    },
  });
  return { simt, cpu };
}
