// Uniform numbers through the host's Philox: bit for bit what the kernel writes.
import { philox4x32 } from './philox.ts';

/** Element i of a sample under (seed, stream): word i % 4 of the block i / 4. */
export function uniformAt(i: number, id: number, epoch: number, seed: number, stream: number): number {
  return (philox4x32([Math.floor(i / 4), id, epoch, 0], [seed, stream])[i % 4] >>> 8) / 2 ** 24;
}

export function uniform(
  { ids, clock, out }: { ids: Uint32Array; clock: Uint32Array; out: Float64Array },
  { samples, n, seed, stream }: { samples: number; n: number; seed: number; stream: number },
): void {
  for (let s = 0; s < samples; s++) {
    for (let i = 0; i < n; i++) out[s * n + i] = uniformAt(i, ids[s], clock[0], seed, stream);
  }
}
