// How kernels that sum over rows share a row among threads: WG threads hold PER columns each, and add up with rowSum, which
// is lib/rowsum.wgsl for a workgroup, or lib/subgroupsum.wgsl without barriers where a workgroup is one subgroup.
import { type AdapterTraits, ceilDiv } from '../kernel.ts';

interface RowKnobs {
  WG: number;
  PER: number;
}

/** About four columns a thread. */
export function rowThreads(cols: number): RowKnobs {
  const WG = Math.min(256, Math.max(32, 2 ** Math.ceil(Math.log2(cols / 4))));
  return { WG, PER: ceilDiv(cols, WG) };
}

/** Workgroups of one subgroup; null where the adapter may choose another size than it says (asking for `cpu` on a GPU). */
export function subgroupThreads({ subgroupMinSize, subgroupMaxSize }: AdapterTraits): { WG: number } | null {
  return subgroupMinSize === subgroupMaxSize ? { WG: subgroupMaxSize } : null;
}

/** One subgroup for a row; null, too, where its unrolled loops would take seconds to compile. */
export function rowLanes(cols: number, adapter: AdapterTraits): RowKnobs | null {
  const WG = subgroupThreads(adapter)?.WG;
  return WG && cols <= 160 * WG ? { WG, PER: ceilDiv(cols, WG) } : null;
}

/** A kernel's text for workgroups of one subgroup; lib/subgroupsum.wgsl goes with it. */
export const oneSubgroup = <W extends { readonly text: string }>(wgsl: W): W => ({
  ...wgsl,
  text: `enable subgroups;\n${wgsl.text}`,
});
