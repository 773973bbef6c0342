// The variants of a kernel that treats n elements alike: WG threads of a workgroup take PER elements each, WG apart.
import { type BindingTypes, ceilDiv, fold, type Grid, type ParamTypes, variant, type Wgsl } from '../kernel.ts';
import { oneByOne } from './elements.ts';
import { cheapLoads } from './loads.ts';

type Knobs = { VECTOR: number; WG: number; PER: number };

/**
 * Vectors on a GPU, where they divide n. On software adapters one subgroup takes 256 neighbouring single elements: 1.6 to 2 times as fast as wider
 * workgroups (elementwise.md); 32 of them where each load takes long to compile: adamw.update was built in 0.44 s instead of 5.8.
 */
export function spread<B extends BindingTypes, P extends ParamTypes & { n: 'u32' }>(
  wgsl: Wgsl<B, P, Knobs>,
  lib: readonly string[] = [],
) {
  const grid = ({ n, VECTOR, WG, PER }: { n: number } & Knobs): Grid => fold(ceilDiv(n, VECTOR * WG * PER));
  const single = oneByOne(wgsl);
  const simt = variant(wgsl, {
    lib,
    grid,
    tune: ({ n }) => (n % 4 ? null : {}),
    otherwise: variant(single, { lib, grid, tune: () => ({ WG: 256, PER: 4 }) }),
  });
  const cpu = variant(single, {
    lib,
    needs: ['subgroups'],
    grid,
    tune: (_, adapter) => {
      const WG = Math.min(64, adapter.subgroupMaxSize);
      return { WG, PER: (cheapLoads(adapter) ? 256 : 32) / WG };
    },
  });
  return { simt, cpu };
}
