// Workgroup sizes of kernels that only stream: no barrier, nothing shared between threads.
import type { AdapterTraits } from '../kernel.ts';

/**
 * 64 threads on a GPU; one subgroup on a software adapter. There a workgroup's subgroups run one after another and
 * all keep their masks: gather.restore at 128 x 65 x 128 took 3.4 ms with 16 threads, 7.4 with 64, 21 with 256.
 */
export const streamThreads = ({ profile, subgroupMaxSize }: AdapterTraits): { WG: number } => ({
  WG: profile === 'cpu' && subgroupMaxSize ? subgroupMaxSize : 64,
});
