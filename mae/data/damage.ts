// Images that cannot be decoded. In training each is replaced by another, which does not depend on workers, batch size or a resume; evaluation
// leaves them out and says so. More than one in twenty stops either.
import { fail, TesseraeError } from '../../engine/errors.ts';
import type { Dataset } from './dataset.ts';
import { draw, STREAM, unit } from './streams.ts';

/** A file that is truncated, empty, not an image, too large, or cannot be read. */
export class DamagedImage extends TesseraeError {
  readonly path: string;
  readonly why: string;
  /** `remedy`: what to do where nothing takes its place. */
  constructor(path: string, why: string, remedy = 'replace it or take it out of the folder') {
    super(`image ${path} cannot be read (${why}): ${remedy}`);
    this.path = path;
    this.why = why;
  }
}

/** Of all images, how many may be damaged. */
const MOST = 0.05;
/** Damage among the first images says little: so many are waited for, or all where there are fewer. */
const AT_LEAST = 1000;
/** At one image in twenty, the chance that so many in a row are damaged is 1e-26. */
const TRIES = 20;

/** Which image takes the place of a damaged one at the given try: the same in every run of the seed. */
export type Replacement = (id: number, attempt: number) => number;

/** Images drawn by Philox, keyed by (seed, epoch, the damaged image, attempt). */
export const replacements =
  (seed: number, epoch: number, length: number): Replacement =>
  (id, attempt) => {
    const words = draw(seed, STREAM.replacement, epoch, id, attempt);
    return Math.floor(unit(words[0], words[1]) * length);
  };

/** What `read` makes of image `id`, or of the first good one of its replacements; `found` is told of the damaged ones that were met. */
export async function readOrReplace<T>(
  read: (index: number, attempt: number) => Promise<T>,
  id: number,
  replacement: Replacement | undefined,
  found: (damaged: DamagedImage) => void,
): Promise<T> {
  for (let attempt = 0, at = id; ; at = replacement(id, attempt++)) {
    try {
      return await read(at, attempt);
    } catch (error) {
      if (!replacement || !(error instanceof DamagedImage)) throw error;
      found(error);
      if (attempt >= TRIES) fail(`data: none of ${TRIES + 1} images could be read, the last ${tooMany([error])}`);
    }
  }
}

export interface DamageCount {
  /** Images handed to training so far, by the run and those that it goes on from. */
  readonly seen: number;
  /** Of these, how many stand in for a damaged one. */
  readonly replaced: number;
}

export const NO_DAMAGE: DamageCount = { seen: 0, replaced: 0 };

/** What a run knows of damaged images: it counts them, has each path written once, and ends the run where there are too many. */
export class DamageLedger {
  readonly #length: number;
  readonly #paths: Set<string>;
  readonly #where: string;
  readonly #say: (damaged: DamagedImage) => Promise<void>;
  readonly #first: DamagedImage[] = [];

  /** `length`: images of the set; `known`: paths that were written before, to `where`; `say`: called once for every other. */
  constructor(length: number, known: Iterable<string>, where: string, say: (damaged: DamagedImage) => Promise<void>) {
    this.#length = length;
    this.#paths = new Set(known);
    this.#where = where;
    this.#say = say;
  }

  /**
   * The count after a batch of so many images. Called in order, when a batch is handed out, and not when it is read: so a run ends at the same one
   * every time.
   * @throws above one in twenty
   */
  async after(
    { seen, replaced }: DamageCount,
    images: number,
    damaged: readonly (readonly DamagedImage[])[],
  ): Promise<DamageCount> {
    const count = { seen: seen + images, replaced: replaced + damaged.length };
    for (const one of damaged.flat()) {
      if (this.#first.length < 3 && !this.#first.some(({ path }) => path === one.path)) this.#first.push(one);
      if (this.#paths.has(one.path)) continue;
      this.#paths.add(one.path);
      await this.#say(one);
    }
    // Of few that were read a part says nothing: what is borne is told beside it.
    const whole = Math.min(AT_LEAST, this.#length);
    const allowed = MOST * Math.max(count.seen, whole);
    if (damaged.length && count.replaced > allowed) {
      const of = count.seen > whole ? 'these' : whole < this.#length ? `the first ${whole}` : `the ${whole} in the set`;
      const borne = `${Math.floor(allowed)} ${Math.floor(allowed) === 1 ? 'is' : 'are'} borne (${100 * MOST} % of ${of})`;
      const met = `${count.replaced} damaged within the first ${count.seen} images that were read, ${borne}`;
      fail(`data: ${met}: ${listed(this.#first)}; all that were met are in ${this.#where}: mend the data`);
    }
    return count;
  }

  /** How many different files. */
  get paths(): number {
    return this.#paths.size;
  }
}

const listed = (first: readonly DamagedImage[]): string => first.map(({ path, why }) => `${path} (${why})`).join(', ');

const tooMany = (first: readonly DamagedImage[]): string =>
  `${listed(first)}; more than ${100 * MOST} % end it: mend the data`;

/** Good images of sets that have damaged ones. */
const readable = new WeakMap<Dataset, Uint32Array>();

/**
 * Evaluates all images of a set: `work` gets their indices, in order. Where it meets a damaged one, all of these are looked for, told of, and
 * `work` begins again with the others. Later calls know them already.
 */
export async function overReadable<T>(
  dataset: Dataset,
  note: (line: string) => void = () => {},
  work: (order: Uint32Array) => Promise<T>,
): Promise<T> {
  const all = Uint32Array.from({ length: dataset.length }, (_, i) => i);
  const known = readable.get(dataset);
  try {
    return await work(known ?? all);
  } catch (error) {
    if (!(error instanceof DamagedImage)) throw error;
  }
  const good: number[] = [];
  const damaged = await damagedOf(dataset, undefined, (id) => good.push(id));
  const first = damaged.slice(0, 3);
  if (damaged.length > Math.max(FEW, MOST * dataset.length) || !good.length)
    fail(`data: ${damaged.length} of ${dataset.length} images of ${dataset.name} are damaged: ${tooMany(first)}`);
  const names = `${first.map(({ path }) => path).join(', ')}${damaged.length > first.length ? ', …' : ''}`;
  note(`${dataset.name}: ${damaged.length} of ${dataset.length} images are damaged and left out: ${names}`);
  const order = Uint32Array.from(good);
  readable.set(dataset, order);
  return work(order);
}

/** Decodes every image. `progress` is told how many are done, `good` of each that could be read, in order. */
export async function damagedOf(
  dataset: Dataset,
  progress: (done: number) => void = () => {},
  good: (id: number) => void = () => {},
): Promise<DamagedImage[]> {
  const damaged: DamagedImage[] = [];
  for (let next = 0; next < dataset.length; next += AT_A_TIME) {
    const ids = Array.from({ length: Math.min(AT_A_TIME, dataset.length - next) }, (_, i) => next + i);
    const found = await Promise.all(ids.map((id) => dataset.read(id).then(() => null, onlyDamaged)));
    for (const [i, one] of found.entries()) {
      if (one) damaged.push(one);
      else good(ids[i]);
    }
    progress(next + ids.length);
  }
  return damaged;
}

/** So many may be left out of small sets, too. */
const FEW = 3;
/** Decoded at the same time when damaged images are looked for. */
const AT_A_TIME = 8;

function onlyDamaged(error: unknown): DamagedImage {
  if (error instanceof DamagedImage) return error;
  throw error;
}
