// What a load costs on a software adapter: its driver's code generators differ in that more than in anything else.
import type { AdapterTraits } from '../kernel.ts';

/**
 * Whether a load is one gather for all lanes and, at a subgroup-uniform address, one scalar load: so in Mesa 26.2. In 25.0.7
 * each load is a loop over the lanes: 16 ns for 8 lanes wherever they point, hardly more for a vector of 4, and basic blocks that its LLVM 15 takes
 * long over. No limit or version that WebGPU shows says which; subgroup matrices came in between. Where they are hidden
 * (browsers) the tuning for dear loads costs 26.2 up to 1.6x; the other way round, 25.0.7 would compile for minutes.
 */
export const cheapLoads = ({ features }: Pick<AdapterTraits, 'features'>): boolean =>
  features.has('chromium-experimental-subgroup-matrix');
