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

export interface Strips {
  DIM: number;
  WIDE: number;
  MM: number;
  MN: number;
  MK: number;
  STRIPS: number;
  RM: number;
  LANES: number;
  TILE: number;
  STAGES: number;
  ONCE: boolean;
}

/** matrix: rows that a workgroup owns. */
export const rowsOf = ({ STRIPS, RM, MM }: Pick<Strips, 'STRIPS' | 'RM' | 'MM'>): number => STRIPS * RM * MM;

/** matrix: bytes of workgroup memory; rows of f16 have 16 bytes over, and so have rows of f32. */
function forwardBytes({ WIDE, MM, MN, STRIPS, RM, TILE, STAGES }: Strips): number {
  const rows = rowsOf({ STRIPS, RM, MM });
  const stride = WIDE / 8 + 1;
  if (TILE * stride < MM * (MN / 4 + 1)) return Infinity; // sums are rescaled in place of the keys
  return 16 * Math.max(STAGES * 2 * TILE * stride + rows * (TILE / 4 + 1), rows * stride) + 4;
}

function backwardBytes({ WIDE, MM, STRIPS, RM, TILE, STAGES }: Strips): number {
  const rows = rowsOf({ STRIPS, RM, MM });
  const stride = WIDE / 8 + 1;
  const tiles = STAGES * 2 * TILE * stride + 2 * rows * (TILE / 4 + 1);
  return 16 * Math.max(tiles, 2 * rows * stride) + 8 * STAGES * TILE;
}

type Bytes = (knobs: Strips) => number;
type Rows = Pick<Sizes, 'dim' | 'tokens'>;

/**
 * matrix: makes knobs with the adapter's largest product, or null where a workgroup has no room for them. Null where the
 * adapter lists no product of f16 to f32.
 */
function maker({ dim, tokens }: Rows, adapter: AdapterTraits, bytes: Bytes) {
  checkDim(dim);
  const usable = adapter.matrices.filter(({ N, K }) => N % 8 === 0 && K % 8 === 0);
  const [best] = usable.sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K);
  if (!best) return null;
  const { M: MM, N: MN, K: MK } = best;
  const LANES = Math.max(adapter.subgroupMaxSize, MM);
  // A strip's threads are one subgroup only where all have one size. Then two may share a row, and tell each other its largest
  // score by a shuffle; and the next scores may be written without a barrier after what read the last weights.
  const alone = adapter.subgroupMinSize === LANES;
  const RM = Math.max(1, LANES / MM / (alone ? 2 : 1));
  const unit = Math.max(MN, (MK * LANES) / (RM * MM));
  const wide = Math.max(MN, MK);
  const blocks = ceilDiv(tokens, RM * MM);
  const make = (strips: number, tile: number, stages: number): Strips | null => {
    const STRIPS = Math.min(strips, blocks);
    const TILE = Math.max(tile, unit);
    const ONCE = tokens <= TILE;
    const STAGES = ONCE || !alone ? 1 : stages;
    const knobs = { DIM: dim, WIDE: ceilDiv(dim, wide) * wide, MM, MN, MK, STRIPS, RM, LANES, TILE, STAGES, ONCE };
    const whole = LANES % (RM * MM) === 0 && TILE % unit === 0 && STRIPS * LANES <= adapter.maxWorkgroupInvocations;
    return whole && bytes(knobs) <= adapter.maxWorkgroupStorageBytes ? knobs : null;
  };
  return { blocks, make };
}

/** Strips, keys a tile and tiles at once, the best measured first; the rest for less memory or to measure. */
const FORWARD_SHAPES = [
  [4, 32, 1],
  [7, 32, 2],
  [4, 32, 2],
  [4, 16, 1],
  [2, 16, 1],
  [4, 8, 1],
  [1, 8, 1],
] as const;

/** matrix: choices for forward. All keys at once where 64 are enough, else short tiles: two workgroups fit where one long one does (attention.md). */
export function forwardStrips(sizes: Rows, adapter: AdapterTraits): Strips[] {
  const { make } = maker(sizes, adapter, forwardBytes) ?? {};
  const once = sizes.tokens > 32 && sizes.tokens <= 64 ? ([[4, 64, 1]] as const) : [];
  return make ? distinct([...once, ...FORWARD_SHAPES].map(([strips, tile, stages]) => make(strips, tile, stages))) : [];
}

/** matrix: choices for backward: the fewest workgroups that memory allows, evenly filled, and two tiles at once if that makes no more of them. */
export function backwardStrips(sizes: Rows, adapter: AdapterTraits): Strips[] {
  const { blocks = 0, make } = maker(sizes, adapter, backwardBytes) ?? {};
  if (!make) return [];
  const found: { groups: number; knobs: Strips }[] = [];
  for (const tile of [32, 16, 8]) {
    for (const stages of [2, 1]) {
      for (let groups = 1; groups <= blocks; groups++) {
        const strips = ceilDiv(blocks, groups);
        const knobs = strips <= MOST_STRIPS ? make(strips, tile, stages) : null;
        if (!knobs) continue;
        found.push({ groups, knobs });
        break;
      }
    }
  }
  found.sort((a, b) => b.knobs.TILE - a.knobs.TILE || a.groups - b.groups);
  return distinct(found.map(({ knobs }) => knobs));
}

/** Of backward in a workgroup. */
const MOST_STRIPS = 8;

function distinct(all: readonly (Strips | null)[]): Strips[] {
  const seen = new Map(all.flatMap((knobs) => (knobs ? [[JSON.stringify(knobs), knobs]] : [])));
  const found = [...seen.values()];
  const light = found.filter(({ TILE, WIDE, STRIPS, LANES }) => (TILE * WIDE) / 4 / (STRIPS * LANES) <= MOST_AHEAD);
  return light.length ? light : found;
}

/** Eights of the next tile that a thread holds, where there is a choice: each is written out, and builds (attention.md). */
const MOST_AHEAD = 8;
