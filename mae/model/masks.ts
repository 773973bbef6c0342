// Which patches are removed, as noise: the `keep` patches of least noise stay, so that every strategy takes the same path of sort and gather.
// All are pure functions of (seed, epoch, sample).
import { fail } from '../../engine/errors.ts';
import { misuse } from '../usage.ts';
import { draw, STREAM, unit } from '../data/streams.ts';

/** Drawn here, image by image; random is drawn on the device (kernels/random), and the model guides the rest there (guided.ts). */
export const DRAWN = ['block', 'grid', 'bernoulli'] as const;
export const GUIDES = ['loss', 'attention'] as const;
export type Guide = (typeof GUIDES)[number];
/** Every way to choose what is removed. */
export const MASKS = ['random', ...DRAWN, ...GUIDES] as const;
/** Those whose noise maskNoise gives. */
export type DrawnMask = (typeof DRAWN)[number];

export const isDrawn = (kind: string): kind is DrawnMask => (DRAWN as readonly string[]).includes(kind);

/** What decides a mask: the same key, the same mask. `sample` is the image's number in its set. */
export interface MaskKey {
  readonly seed: number;
  readonly epoch: number;
  readonly sample: number;
}

/** (rows * cols), in row-major order, of one image. */
export function maskNoise(
  kind: DrawnMask,
  [rows, cols]: readonly [number, number],
  keep: number,
  key: MaskKey,
): Float32Array {
  const noise = uniform(rows * cols, key);
  if (kind === 'grid') return gridNoise(noise, cols);
  if (kind === 'bernoulli') return bernoulliNoise(noise, keep, key);
  return blockNoise(noise, rows, cols, keep, key);
}

/**
 * Numbers of patches from text, as 0,3,8-11: in ascending order, each once.
 * @throws UsageError that begins with `flag`
 */
export function patchNumbers(flag: string, text: string, patches: number): number[] {
  const ids = new Set<number>();
  for (const part of text.split(',')) {
    const [, first, last = first] = /^\s*(\d+)\s*(?:-\s*(\d+)\s*)?$/.exec(part) ?? [];
    if (first === undefined) misuse(`${flag} must be numbers of patches, as 0,3,8-11, got ${part || 'nothing'}`);
    if (Number(last) >= patches || Number(first) > Number(last))
      misuse(`${flag}: patches have numbers 0 to ${patches - 1} from the upper left one on, got ${part.trim()}`);
    for (let id = Number(first); id <= Number(last); id++) ids.add(id);
  }
  if (ids.size === patches) misuse(`${flag} names all ${patches} patches: leave some out, or nothing is removed`);
  return [...ids].sort((a, b) => a - b);
}

/** Noise under which exactly the patches `ids` stay: masks that a user draws. */
export function noiseOf(ids: Iterable<number>, patches: number): Float32Array {
  const noise = new Float32Array(patches).fill(1);
  for (const id of ids) {
    if (!(Number.isInteger(id) && id >= 0 && id < patches))
      fail(`mask: patches have numbers 0 to ${patches - 1}, got ${id}`);
    noise[id] = 0;
  }
  return noise;
}

function uniform(n: number, { seed, epoch, sample }: MaskKey): Float32Array {
  const noise = new Float32Array(n);
  for (let i = 0; i < n; i += 4) {
    const words = draw(seed, STREAM.mask, epoch, sample, i >> 2);
    for (let j = 0; j < 4 && i + j < n; j++) noise[i + j] = unit(words[j]);
  }
  return noise;
}

/**
 * Regular: of every 2 x 2 patches the upper left one stays first (a quarter of all: MAE, figure 6), then the lower right ones, and so on;
 * budgets between take some of a kind at random.
 */
function gridNoise(noise: Float32Array, cols: number): Float32Array {
  const rank = [0, 2, 3, 1];
  return noise.map((u, i) => rank[2 * (Math.floor(i / cols) % 2) + ((i % cols) % 2)] + u);
}

/** Every patch stays with probability keep / patches by a draw of its own; too many or too few are then corrected at random. */
function bernoulliNoise(noise: Float32Array, keep: number, { seed, epoch, sample }: MaskKey): Float32Array {
  const words = (i: number) => draw(seed, STREAM.maskShape, epoch, sample, i >> 2)[i % 4];
  return noise.map((u, i) => (unit(words(i)) < keep / noise.length ? 0 : 1) + u);
}

/** Block-wise (Bao et al. 2021, BEiT): rectangles of a third to three times as high as wide are removed until the budget is met exactly. */
function blockNoise(noise: Float32Array, rows: number, cols: number, keep: number, key: MaskKey): Float32Array {
  const patches = rows * cols;
  const wanted = patches - keep;
  const removed = new Uint8Array(patches);
  const least = Math.max(1, Math.min(16, patches >> 4));
  let count = 0;
  for (let block = 0; count < wanted; block++) {
    const words = draw(key.seed, STREAM.maskShape, key.epoch, key.sample, block);
    const most = Math.max(least, wanted - count);
    const area = least + unit(words[0]) * (most - least);
    const aspect = Math.exp((2 * unit(words[1]) - 1) * Math.log(1 / 0.3));
    const h = Math.min(rows, Math.max(1, Math.round(Math.sqrt(area * aspect))));
    const w = Math.min(cols, Math.max(1, Math.round(Math.sqrt(area / aspect))));
    const top = Math.floor(unit(words[2]) * (rows - h + 1));
    const left = Math.floor(unit(words[3]) * (cols - w + 1));
    for (let i = 0; i < h * w && count < wanted; i++) {
      const at = (top + Math.floor(i / w)) * cols + left + (i % w);
      count += 1 - removed[at];
      removed[at] = 1;
    }
  }
  return noise.map((u, i) => removed[i] + u);
}

/** The tutorials' rule for a ratio that follows the loss: harder when it is below the threshold, easier when it is not. */
interface RatioRule {
  readonly threshold: number;
  readonly up: number;
  readonly most: number;
  readonly down: number;
  readonly least: number;
}
export const RATIO_RULE = { up: 0.05, most: 0.8, down: 0.03, least: 0.3 } as const;

export const nextRatio = (ratio: number, loss: number, { threshold, up, most, down, least }: RatioRule): number =>
  loss < threshold ? Math.min(most, ratio + up) : Math.max(least, ratio - down);
