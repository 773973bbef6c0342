// How kernels that sum over rows share a row among threads: WG threads hold PER columns (or quads) each, and add up with
// rowSum: lib/rowsum.subgroups.wgsl, or lib/rowsum.wgsl without subgroups, or lib/subgroupsum.wgsl where a workgroup is one.
import { type AdapterTraits, type BindingTypes, ceilDiv, type ParamTypes, variant, type Wgsl } from '../kernel.ts';
import { cheapLoads } from './loads.ts';
import bySubgroups from './rowsum.subgroups.wgsl';
import tree from './rowsum.wgsl';
import oneSubgroup from './subgroupsum.wgsl';

interface RowKnobs {
  WG: number;
  PER: number;
}

/** About four columns a thread, as PER vectors of so many columns; null where a row is no whole number of those. */
export function rowThreads(cols: number, vector = 1): RowKnobs | null {
  if (cols % vector) return null;
  const WG = Math.min(256, Math.max(32, 2 ** Math.ceil(Math.log2(cols / 4))));
  return { WG, PER: ceilDiv(cols, vector * WG) };
}

type How<B extends BindingTypes, P extends ParamTypes, K> = Omit<Parameters<typeof variant<B, P, K>>[1], 'needs'>;

/** Workgroups that add up with rowSum: by subgroups, or by a tree of barriers where the adapter has none that are right. */
export function sumByWorkgroup<B extends BindingTypes, P extends ParamTypes, K>(
  wgsl: Wgsl<B, P, K>,
  how: How<B, P, K>,
) {
  const { lib = [] } = how;
  const otherwise = variant(wgsl, { ...how, lib: [...lib, tree] });
  return variant(withSubgroups(wgsl), { ...how, lib: [...lib, bySubgroups], needs: ['subgroups'], otherwise });
}

/** Workgroups of one subgroup that add up with rowSum; `tune` must give WG of rowLanes or subgroupThreads. */
export function sumBySubgroup<B extends BindingTypes, P extends ParamTypes, K>(wgsl: Wgsl<B, P, K>, how: How<B, P, K>) {
  return variant(withSubgroups(wgsl), { ...how, lib: [...(how.lib ?? []), oneSubgroup], needs: ['subgroups'] });
}

/** Workgroups of one subgroup; null where the adapter may choose another size than it says (asking for `cpu` on a GPU). */
export function subgroupThreads({ subgroupMinSize, subgroupMaxSize }: AdapterTraits): { WG: number } | null {
  return subgroupMinSize === subgroupMaxSize ? { WG: subgroupMaxSize } : null;
}

/** One subgroup for a row, likewise; null, too, where its unrolled loops would take long to compile. */
export function rowLanes(cols: number, adapter: AdapterTraits, vector = 1): RowKnobs | null {
  return lanesFor(cols, adapter, vector, cheapLoads(adapter) ? 160 : 16);
}

/** The same for `looped` texts; null beyond what a thread can keep (WGSL: 8192 bytes, in up to five arrays). */
export function rowLoops(cols: number, adapter: AdapterTraits, vector = 1): RowKnobs | null {
  return lanesFor(cols, adapter, vector, 400);
}

function lanesFor(cols: number, adapter: AdapterTraits, vector: number, most: number): RowKnobs | null {
  const WG = subgroupThreads(adapter)?.WG;
  return WG && cols <= most * WG && cols % vector === 0 ? { WG, PER: ceilDiv(cols, vector * WG) } : null;
}

/**
 * A text with its loops over a thread's columns left as loops whose end no compiler knows: what they keep then lies in
 * memory, not in registers. Slower to run and much faster to build (layernorm.md).
 */
export function looped<W extends { readonly text: string; readonly knobs: RowKnobs }>(wgsl: W): W {
  return { ...wgsl, text: wgsl.text.replaceAll('k < PER; k++) { // unroll', 'k * WG < vectors; k++) {') };
}

const withSubgroups = <W extends { readonly text: string }>(wgsl: W): W => ({
  ...wgsl,
  text: `enable subgroups;\n${wgsl.text}`,
});
