// Knobs of the attention kernels for a head dimension and an adapter.
import { type AdapterTraits, ceilDiv } from '../kernel.ts';
import { cheapLoads } from '../lib/loads.ts';
import type { Sizes } from './attention.ref.ts';

function checkDim(dim: number): void {
  if (dim % 4 === 0 && dim >= 4 && dim <= 128) return;
  throw new Error(`attention: the head dimension must be a multiple of 4 from 4 to 128, got ${dim}`);
}

/**
 * simt: how many threads share a row so that each holds at most 8 vec4s of it, and how many it then holds; and at most
 * `threads` a workgroup, fewer where the rows do not fill them.
 */
export function share(dim: number, tokens: number, threads: number) {
  checkDim(dim);
  let PARTS = 1;
  while (ceilDiv(dim / 4, PARTS) > 8) PARTS *= 2;
  return { DIM: dim, PARTS, HELD: ceilDiv(dim / 4, PARTS), WG: Math.min(threads, 32 * ceilDiv(tokens * PARTS, 32)) };
}

/**
 * cpu: the most rows a lane. With uniform loads more than 2 of 512 bits or 3 of 256 only spill. Else what counts is the time
 * to build, which grows faster than the numbers that a lane holds: `held` of them in a row of results (attention.md).
 */
export function mostRows(dim: number, adapter: AdapterTraits, held: number): number {
  if (!cheapLoads(adapter)) return Math.min(3, Math.max(1, Math.floor(held / dim)));
  return dim > 64 ? 1 : dim > 32 || adapter.subgroupMaxSize >= 16 ? 2 : 3;
}

/** cpu: rows a lane. More share each load but leave more lanes idle in the last block, whose cost was near (R + 0.7). */
function rowsPerLane(tokens: number, SG: number, most: number): number {
  const cost = (R: number) => ceilDiv(ceilDiv(tokens, SG), R) * (R + 0.7);
  let best = 1;
  for (let R = 2; R <= most; R++) if (cost(R) < cost(best)) best = R;
  return best;
}

/** cpu: what mostRows may hold, and above which dimension uniform loads take one other row at a time. */
export const FORWARD = { held: 128, wide: 64 };
export const BACKWARD = { held: 128, wide: 32 };

export function lanes(
  { dim, tokens }: Pick<Sizes, 'dim' | 'tokens'>,
  adapter: AdapterTraits,
  { held, wide }: typeof FORWARD,
) {
  const SG = adapter.subgroupMaxSize;
  checkDim(dim);
  if (SG === 0) return null;
  const BROADCAST = !cheapLoads(adapter);
  const R = rowsPerLane(tokens, SG, mostRows(dim, adapter, held));
  return { DIM: dim, SG, R, KB: BROADCAST || dim > wide ? 1 : 2, BROADCAST, HELD: ceilDiv(dim / 4, SG) };
}

export const MATRIX = ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'];

interface Strips {
  DIM: number;
  WIDE: number;
  MM: number;
  MN: number;
  MK: number;
  STRIPS: number;
  LANES: number;
  TILE: number;
}

/** matrix: bytes of workgroup memory; rows of f16 have 16 bytes over, and so have rows of f32. */
export function forwardBytes({ WIDE, MM, STRIPS, LANES, TILE }: Strips): number {
  const rows = STRIPS * MM;
  return 2 * TILE * (WIDE + 8) * 2 + rows * (TILE + 4) * 4 + rows * (TILE + 8) * 2 + STRIPS * LANES * 8;
}

export function backwardBytes({ WIDE, MM, STRIPS, TILE }: Strips): number {
  const rows = STRIPS * MM;
  return 2 * (TILE * (WIDE + 8) * 2 + rows * (TILE + 4) * 4 + rows * (TILE + 8) * 2) + TILE * 8;
}

/**
 * matrix: as many rows and keys at once as the adapter's workgroups have room for, with its largest product. Null where
 * it lists no product of f16 to f32 or the dimension is too large for its memory.
 */
export const strips = (dim: number, adapter: AdapterTraits, bytes: (knobs: Strips) => number): Strips | null =>
  allStrips(dim, adapter, bytes)[0] ?? null;

/** matrix: every choice that there is room for, the largest first. */
export function allStrips(dim: number, adapter: AdapterTraits, bytes: (knobs: Strips) => number): Strips[] {
  checkDim(dim);
  const found: Strips[] = [];
  const [best] = [...adapter.matrices].sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K);
  if (!best) return found;
  const { M: MM, N: MN, K: MK } = best;
  const unit = Math.max(MM, MN, MK);
  const LANES = Math.max(adapter.subgroupMaxSize, MM);
  const wide = Math.max(MN, MK);
  for (const [STRIPS, tile] of [
    [4, 32],
    [4, 16],
    [2, 16],
    [2, 8],
    [1, 8],
  ]) {
    const knobs = { DIM: dim, WIDE: ceilDiv(dim, wide) * wide, MM, MN, MK, STRIPS, LANES, TILE: Math.max(tile, unit) };
    const fits = bytes(knobs) <= adapter.maxWorkgroupStorageBytes;
    if (fits && STRIPS * LANES <= adapter.maxWorkgroupInvocations) found.push(knobs);
  }
  return found;
}
