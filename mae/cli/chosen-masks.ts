// Which patches `tesserae reconstruct` removes, by its flags: at random or in a pattern, under rectangles, or as a file says.
import { access, readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { reasonOf } from '../../engine/node/file-errors.ts';
import {
  type ChosenMask,
  complementary,
  listed,
  noiseFor,
  painted,
  PATTERNS,
  type Rectangle,
  removing,
  underRectangles,
} from '../model/chosen-masks.ts';
import { lenKeep, type MaeConfig, patchesOf } from '../model/config.ts';
import { type DrawnMask, noiseOf, patchNumbers } from '../model/masks.ts';
import { real, text, whole } from '../train/flags.ts';
import { asUsage, misuse, suggestion } from '../usage.ts';
import { type Flags, value } from './command.ts';

/** What can be said without knowing the model. */
interface AskedMasks {
  /** null: as in training. */
  readonly ratio: number | null;
  readonly seed: number;
  readonly passes: number;
  readonly kind: 'random' | DrawnMask;
  readonly file: string | null;
  readonly rectangles: readonly Rectangle[];
  /** Patches that stay, as 0,3,8-11. */
  readonly ids_keep: string | null;
}

export function askedMasks(flags: Flags, rects: readonly string[], animated: boolean): AskedMasks {
  const ratio = value(flags, 'mask_ratio', real({ open: true, below: 1 })) ?? null;
  const seed = value(flags, 'seed', whole(0, 2 ** 32 - 1));
  const passes = value(flags, 'passes', whole(2, 64));
  const mask = flags.mask === undefined ? undefined : String(flags.mask);
  const named = mask === undefined || (PATTERNS as readonly string[]).includes(mask);
  if (!named && !/[./\\]/.test(mask))
    misuse(`--mask ${mask} is no pattern (${PATTERNS.join(', ')}) and no file${suggestion(mask, PATTERNS)}`);
  const rectangles = rects.map(rectangleIn);
  const ids_keep = value(flags, 'ids_keep', text('LIST')) ?? null;
  const given = [rectangles.length && '--rect', mask !== undefined && '--mask', ids_keep !== null && '--ids_keep'];
  const [first, second] = given.filter(Boolean);
  if (second) misuse(`${first} and ${second} are two masks: give one of them`);
  if (rectangles.length || !named || ids_keep !== null) {
    const own = named ? first : `--mask ${mask}`;
    const others: readonly [string, boolean][] = [
      ['--mask_ratio', ratio !== null],
      ['--seed', seed !== undefined],
      ['--passes', passes !== undefined],
      ['--animation', animated],
    ];
    const other = others.find(([, said]) => said);
    if (other) misuse(`${own} says exactly which patches are removed: leave ${other[0]} out`);
  }
  if (animated && (ratio !== null || passes !== undefined))
    misuse(
      `--animation goes through all ratios, one pass each: leave ${ratio !== null ? '--mask_ratio' : '--passes'} out`,
    );
  const kind = named && mask !== undefined ? (mask as DrawnMask) : 'random';
  return { ratio, seed: seed ?? 0, passes: passes ?? 1, kind, file: named ? null : mask, rectangles, ids_keep };
}

function rectangleIn(given: string): Rectangle {
  const [, left, top, width, height] = (/^(\d+),(\d+),(\d+)x(\d+)$/.exec(given) ?? []).map(Number);
  if (!(width > 0 && height > 0))
    misuse(`--rect must be LEFT,TOP,WIDTHxHEIGHT in pixels, as 64,32,96x80, got ${given}`);
  return { left, top, width, height };
}

export interface Masks {
  /** One for every pass over image number `id`. */
  readonly of: (id: number) => readonly ChosenMask[];
  /** Which, in words. */
  readonly text: string;
}

/** The masks for a model. @throws a mistake in what was asked */
export async function masksFor(asked: AskedMasks, config: MaeConfig, trained: number): Promise<Masks> {
  const patches = patchesOf(config);
  const { file, rectangles, seed, passes, kind, ids_keep } = asked;
  if (ids_keep !== null) {
    const kept = patchNumbers('--ids_keep', ids_keep, patches);
    const mask = { noise: noiseOf(kept, patches), keep: kept.length };
    return { of: () => [mask], text: `${mask.keep} of ${patches} patches were seen` };
  }
  if (file !== null || rectangles.length) {
    const what = file === null ? '--rect' : `--mask ${file}`;
    const removed =
      file === null ? asUsage(() => underRectangles(rectangles, config, what)) : await inFile(file, config, what);
    const mask = asUsage(() => removing(removed, config, what));
    return { of: () => [mask], text: `${mask.keep} of ${patches} patches were seen` };
  }
  const ratio = asked.ratio ?? trained;
  const keep = asUsage(() => lenKeep(patches, ratio));
  if (keep === patches)
    misuse(`--mask_ratio ${ratio} removes none of ${patches} patches: raise it above ${(1 / patches).toPrecision(3)}`);
  const noise = (id: number): Float32Array => noiseFor(kind, config, keep, seed, id);
  if (passes === 1)
    return { of: (id) => [{ noise: noise(id), keep }], text: `${keep} of ${patches} patches were seen` };
  asUsage(() => complementary(noise(0), keep, passes));
  return {
    of: (id) => complementary(noise(id), keep, passes),
    text: `${keep} of ${patches} patches were seen in each of ${passes} passes, which together removed all`,
  };
}

/** Nested masks: of `steps` even steps from few removed patches to nearly all. */
export function growing(asked: AskedMasks, config: MaeConfig, steps: number): Masks & { keeps: readonly number[] } {
  const patches = patchesOf(config);
  if (patches < 2) misuse('--animation: the model has a single patch');
  const count = Math.min(steps, patches - 1);
  const keeps = Array.from({ length: count }, (_, i) => {
    const ratio = 0.05 + (0.9 * i) / Math.max(1, count - 1);
    return Math.min(patches - 1, Math.max(1, Math.round(patches * (1 - ratio))));
  });
  const { kind, seed } = asked;
  return {
    keeps,
    of: (id) => keeps.map((keep) => ({ noise: noiseFor(kind, config, keep, seed, id), keep })),
    text: `${keeps[0]} down to ${keeps[count - 1]} of ${patches} patches were seen`,
  };
}

async function inFile(path: string, config: MaeConfig, what: string): Promise<number[]> {
  const absent = `name an image, a .json file, or one of ${PATTERNS.join(', ')}`;
  const refused = (error: unknown): never => misuse(`${what}: ${reasonOf(error, { absent })}`);
  await access(path).catch(refused);
  if (extname(path).toLowerCase() !== '.json') {
    const { readImage } = await import('../data/image.ts');
    const image = await readImage(path);
    return asUsage(() => painted(image, config, what));
  }
  const written = await readFile(path, 'utf8').catch(refused);
  const json = asUsage(() => {
    try {
      return JSON.parse(written) as unknown;
    } catch (error) {
      return misuse(`${what} is not JSON: ${(error as Error).message.split('\n')[0]}`);
    }
  });
  return asUsage(() => listed(json, config, what));
}
