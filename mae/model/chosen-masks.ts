// Masks that someone chooses: drawn for an image's number, in complementary passes, as rectangles, painted, or listed. No file is opened here.
import { fail } from '../../engine/errors.ts';
import { uniformAt } from '../../kernels/random/random.ref.ts';
import { STREAM } from '../data/streams.ts';
import { type EncoderConfig, gridOf, patchesOf } from './config.ts';
import { DRAWN, type DrawnMask, maskNoise, noiseOf } from './masks.ts';

/** What a model's forward pass takes: of the patches, the `keep` of least noise stay. */
export interface ChosenMask {
  /** (L) */
  readonly noise: Float32Array;
  readonly keep: number;
}

/** Kinds of masks that an image's number decides. */
export const PATTERNS = ['random', ...DRAWN] as const;

/** The noise of image number `sample`; random: that of held-out images. */
export function noiseFor(
  kind: 'random' | DrawnMask,
  config: EncoderConfig,
  keep: number,
  seed: number,
  sample: number,
): Float32Array {
  if (kind !== 'random') return maskNoise(kind, gridOf(config), keep, { seed, epoch: 0, sample });
  return Float32Array.from({ length: patchesOf(config) }, (_, i) =>
    uniformAt(i, sample, 0, seed >>> 0, STREAM.heldout),
  );
}

/**
 * `passes` masks that keep `keep` patches each and together remove every patch: pass j keeps those of rank j L / passes and what follows in the
 * order of the noise, around its end, so that the first pass is the mask of this noise alone.
 */
export function complementary(noise: Float32Array, keep: number, passes: number): ChosenMask[] {
  const patches = noise.length;
  const order = Array.from(noise, (_, l) => l).sort((a, b) => noise[a] - noise[b] || a - b);
  const removals = new Uint32Array(patches);
  const masks = Array.from({ length: passes }, (_, j): ChosenMask => {
    const from = Math.floor((j * patches) / passes);
    const kept = Array.from({ length: keep }, (_, i) => order[(from + i) % patches]);
    for (let l = 0; l < patches; l++) removals[l]++;
    for (const l of kept) removals[l]--;
    return { noise: noiseOf(kept, patches), keep };
  });
  const never = removals.filter((times) => times === 0).length;
  if (never > 0)
    fail(
      `passes: ${passes} that each remove ${patches - keep} of ${patches} patches leave ${never} never removed: give ${Math.ceil(patches / (patches - keep))} or more, or a higher mask_ratio`,
    );
  return masks;
}

/** The mask under which exactly these patches are removed. @throws where that is none of them, or all */
export function removing(removed: Iterable<number>, config: EncoderConfig, what: string): ChosenMask {
  const patches = patchesOf(config);
  const gone = new Set(removed);
  const wrong = [...gone].find((l) => !(Number.isInteger(l) && l >= 0 && l < patches));
  if (wrong !== undefined) fail(`${what}: patches have numbers 0 to ${patches - 1}, row by row, got ${wrong}`);
  if (gone.size === 0) fail(`${what} removes none of ${patches} patches: there would be nothing to rebuild`);
  if (gone.size === patches) fail(`${what} removes all ${patches} patches: leave one to begin from`);
  const kept = Array.from({ length: patches }, (_, l) => l).filter((l) => !gone.has(l));
  return { noise: noiseOf(kept, patches), keep: kept.length };
}

/** In pixels of the image as the model sees it. */
export interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Every patch that one of these rectangles touches. @throws where one lies outside of the image */
export function underRectangles(rectangles: readonly Rectangle[], config: EncoderConfig, what: string): number[] {
  const [height, width] = config.img_size;
  const [down, across] = gridOf(config);
  const p = config.patch_size;
  return rectangles.flatMap((r) => {
    if (r.left >= width || r.top >= height)
      fail(
        `${what}: ${r.left},${r.top} lies outside of the image, which the model sees as ${width} x ${height} pixels`,
      );
    const rows = range(Math.floor(r.top / p), Math.min(down, Math.ceil((r.top + r.height) / p)));
    const columns = range(Math.floor(r.left / p), Math.min(across, Math.ceil((r.left + r.width) / p)));
    return rows.flatMap((row) => columns.map((column) => row * across + column));
  });
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

/**
 * A painted mask: white is removed, black stays, and a patch of both is removed where it is white for the larger part.
 * @param rgb (height, width, 3) bytes: a pixel a patch, or a whole number of times larger
 */
export function painted(
  { data, height, width }: { data: Uint8Array; height: number; width: number },
  config: EncoderConfig,
  what: string,
): number[] {
  const [down, across] = gridOf(config);
  const times = width / across;
  if (!Number.isInteger(times) || height !== times * down)
    fail(
      `${what} is ${width} x ${height} pixels, the model has ${across} x ${down} patches: make it so large, or a whole number of times larger, as ${config.img_size[1]} x ${config.img_size[0]}`,
    );
  const white = new Float64Array(down * across);
  for (let i = 0; i < data.length; i++) {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    white[Math.floor(y / times) * across + Math.floor(x / times)] += data[i] / (255 * 3 * times * times);
  }
  return range(0, white.length).filter((l) => white[l] > 0.5);
}

/**
 * A mask from JSON: a list of the patches that are removed, `{ "ids_keep": [...] }` of those that stay, or `{ "mask": [...] }` of L zeros and
 * ones (or rows of them), 1 for removed.
 */
export function listed(json: unknown, config: EncoderConfig, what: string): number[] {
  const patches = patchesOf(config);
  const numbers = (value: unknown): number[] | null =>
    Array.isArray(value) && value.flat().every((v) => typeof v === 'number') ? (value.flat() as number[]) : null;
  const { ids_keep, mask } = (json ?? {}) as { ids_keep?: unknown; mask?: unknown };
  const [removed, kept, flags] = [numbers(json), numbers(ids_keep), numbers(mask)];
  if (removed) {
    const twice = removed.find((l, i) => removed.indexOf(l) !== i);
    if (twice !== undefined)
      fail(`${what} lists patch ${twice} twice: zeros and ones for every patch are written as {"mask": [...]}`);
    return removed;
  }
  if (kept) {
    const wrong = kept.find((l) => !(Number.isInteger(l) && l >= 0 && l < patches));
    if (wrong !== undefined) fail(`${what}: patches have numbers 0 to ${patches - 1}, row by row, got ${wrong}`);
    return range(0, patches).filter((l) => !kept.includes(l));
  }
  if (!flags)
    fail(
      `${what} holds no mask: give a list of removed patches, {"ids_keep": [...]} or {"mask": [...]} of zeros and ones`,
    );
  const wrong = flags.find((v) => v !== 0 && v !== 1);
  if (flags.length !== patches || wrong !== undefined)
    fail(
      `${what}: mask must be ${patches} zeros and ones (${gridOf(config).join(' rows of ')}), got ${wrong === undefined ? `${flags.length} of them` : wrong}`,
    );
  return range(0, patches).filter((l) => flags[l] === 1);
}
