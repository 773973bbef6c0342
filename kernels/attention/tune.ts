// Knobs of the attention kernels for a head dimension and an adapter.
import { fail } from '../errors.ts';
import { type AdapterTraits, ceilDiv } from '../kernel.ts';
import { largestFirst, workgroupFits } from '../lib/adapter.ts';
import { cheapLoads } from '../lib/loads.ts';
import type { Sizes } from './attention.ref.ts';

function checkDim(dim: number): void {
  if (dim % 4 === 0 && dim >= 4 && dim <= 128) return;
  fail(`attention: the head dimension must be a multiple of 4 from 4 to 128, got ${dim}`);
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

export interface Strips {
  DIM: number;
  WIDE: number;
  MM: number;
  MN: number;
  MK: number;
  STRIPS: number;
  RM: number;
  LANES: number;
  ALONE: boolean;
  TILE: number;
  STAGES: number;
  ONCE: boolean;
}

/** matrix: rows that a workgroup owns. */
export const rowsOf = ({ STRIPS, RM, MM }: Pick<Strips, 'STRIPS' | 'RM' | 'MM'>): number => STRIPS * RM * MM;

/** matrix: bytes of workgroup memory; rows of f16 have 16 bytes over, and so have rows of f32. */
function forwardBytes({ WIDE, MM, STRIPS, RM, TILE }: Strips): number {
  const rows = rowsOf({ STRIPS, RM, MM });
  const stride = WIDE / 8 + 1;
  return 16 * Math.max(2 * TILE * stride + rows * (TILE / 4 + 1), rows * stride) + 4 * rows + 4;
}

function backwardBytes({ WIDE, MM, STRIPS, RM, TILE, STAGES }: Strips): number {
  const rows = rowsOf({ STRIPS, RM, MM });
  const stride = WIDE / 8 + 1;
  return 16 * Math.max(STAGES * 2 * TILE * stride + rows * (TILE / 4 + 1), 2 * rows * stride) + 8 * STAGES * TILE;
}

/** Of backward that holds all keys: besides, the keys' rows and a tile's gradients of q. */
function wholeBytes({ WIDE, MM, MN, STRIPS, RM, TILE, STAGES }: Strips): number {
  const rows = rowsOf({ STRIPS, RM, MM });
  const stride = WIDE / 8 + 1;
  const dq = TILE * (WIDE / MN) * (MN / 4 + 1);
  const tiles = STAGES * 2 * TILE * stride + rows * (TILE / 4 + 1) + dq;
  return 16 * (rows * stride + Math.max(tiles, rows * stride)) + 8 * ceilDiv(rows, TILE) * TILE;
}

type Bytes = (knobs: Strips) => number;
type Rows = Pick<Sizes, 'dim' | 'tokens'>;

/**
 * matrix: makes knobs with the adapter's largest product, or null where a workgroup has no room for them. Null where the
 * adapter lists no product of f16 to f32.
 */
function maker({ dim, tokens }: Rows, adapter: AdapterTraits, bytes: Bytes) {
  checkDim(dim);
  const [best] = largestFirst(adapter.matrices.filter(({ N, K }) => N % 8 === 0 && K % 8 === 0));
  if (!best) return null;
  const { M: MM, N: MN, K: MK } = best;
  const LANES = Math.max(adapter.subgroupMaxSize, MM);
  // A strip's threads are one subgroup only where all have one size. Then two may share a row, and tell each other its largest
  // score by a shuffle; and the next scores may be written without a barrier after what read the last weights.
  const ALONE = adapter.subgroupMinSize === LANES;
  const RM = Math.max(1, LANES / MM / (ALONE ? 2 : 1));
  const unit = Math.max(MN, MK, (8 * LANES) / (RM * MM));
  const wide = Math.max(MN, MK);
  const blocks = ceilDiv(tokens, RM * MM);
  const make = (strips: number, tile: number, stages = 1): Strips | null => {
    const STRIPS = Math.min(strips, blocks);
    const TILE = Math.max(tile, unit);
    const WIDE = ceilDiv(dim, wide) * wide;
    const knobs = { DIM: dim, WIDE, MM, MN, MK, STRIPS, RM, LANES, ALONE, TILE, STAGES: stages, ONCE: tokens <= TILE };
    const whole = LANES % (RM * MM) === 0 && TILE % unit === 0;
    return whole && workgroupFits(adapter, STRIPS * LANES, bytes(knobs)) ? knobs : null;
  };
  return { blocks, make };
}

/**
 * matrix: choices for forward. Workgroups that an H200 has registers for twice; above 64 dimensions it has them once, and wants the
 * most rows at once (attention.md).
 */
export function forwardStrips(sizes: Rows, adapter: AdapterTraits): Strips[] {
  const { blocks = 0, make } = maker(sizes, adapter, forwardBytes) ?? {};
  if (!make) return [];
  const most = sizes.dim > 64 ? 20 : 8;
  const tiles = sizes.dim <= 32 && sizes.tokens > 64 ? [32, 16, 8, 64] : [16, 32, 8, 64];
  const counts = [most, 8, 5, 20, 4];
  return distinct(
    tiles.flatMap((tile) => counts.map((count) => fewest(blocks, count, (strips) => make(strips, tile)))),
  );
}

/** matrix: choices for backward in two roles: 4 strips of two stages were 1.2 to 1.6 times as fast as 5 or 6 on an H200 (attention.md). */
export function backwardStrips(sizes: Rows, adapter: AdapterTraits): Strips[] {
  const { blocks = 0, make } = maker(sizes, adapter, backwardBytes) ?? {};
  if (!make) return [];
  const counts = [4, 7, 5, 8];
  const found = [16, 32, 8].flatMap((tile) =>
    counts.flatMap((count) => [2, 1].map((stages) => fewest(blocks, count, (strips) => make(strips, tile, stages)))),
  );
  return distinct(found);
}

/**
 * matrix: choices for backward with all keys of a head in one workgroup, those first of which the most fit a multiprocessor; none where
 * they do not fit, or products are not of one depth and height.
 */
export function wholeStrips(sizes: Rows, adapter: AdapterTraits): Strips[] {
  const { blocks = 0, make } = maker(sizes, adapter, wholeBytes) ?? {};
  if (!make) return [];
  const found = [16, 32, 8].flatMap((tile) => [2, 1].map((stages) => make(blocks, tile, stages)));
  const usable = distinct(found).filter(({ RM, MM, MK, ALONE }) => RM === 1 && MM === MK && ALONE);
  const atOnce = (knobs: Strips): number => Math.floor(49152 / wholeBytes(knobs));
  return usable.sort((a, b) => a.TILE - b.TILE || atOnce(b) - atOnce(a));
}

/** Strips of a workgroup, at most `most`, that make the fewest workgroups, evenly filled. */
function fewest(blocks: number, most: number, make: (strips: number) => Strips | null): Strips | null {
  for (let groups = 1; groups <= blocks; groups++) {
    const strips = ceilDiv(blocks, groups);
    const knobs = strips <= most ? make(strips) : null;
    if (knobs) return knobs;
  }
  return null;
}

/** Those that are there, once each; and where there is a choice, what builds fast: products and loads are written out (attention.md). */
function distinct(all: readonly (Strips | null)[]): Strips[] {
  const seen = new Map(all.flatMap((knobs) => (knobs ? [[JSON.stringify(knobs), knobs]] : [])));
  const found = [...seen.values()];
  const products = ({ TILE, WIDE, MN, MK }: Strips): number => (TILE / MN) * (WIDE / MK);
  const ahead = ({ TILE, WIDE, STRIPS, LANES }: Strips): number => (TILE * WIDE) / 4 / (STRIPS * LANES);
  const most = Math.max(MOST_PRODUCTS, Math.min(...found.map(products)));
  const light = found.filter((knobs) => products(knobs) <= most);
  const lighter = light.filter((knobs) => ahead(knobs) <= MOST_AHEAD);
  return (lighter.length ? lighter : light).slice(0, MOST_OFFERED);
}

/** As many as measuring tries. */
const MOST_OFFERED = 10;
/** Products of a tile's scores. */
const MOST_PRODUCTS = 8;
/** Eights of the next tile that a thread holds. */
const MOST_AHEAD = 8;
