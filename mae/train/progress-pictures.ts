// The same images, rebuilt under the same masks as training goes on: a column of tiles for every twentieth of a run, in its folder `pictures`.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine, Program } from '../../engine/engine.ts';
import type { Plan } from '../../engine/plan.ts';
import { FileError, makeFolder, removeFile } from '../../engine/node/files.ts';
import { uniformNoise } from '../../engine/ops/masking.ts';
import { overReadable } from '../data/damage.ts';
import { type Dataset, part } from '../data/dataset.ts';
import { loadBatches } from '../data/loader.ts';
import { newCapacities } from '../data/pack.ts';
import { centrePlaces } from '../data/sampler.ts';
import { STREAM } from '../data/streams.ts';
import { patchesOf } from '../model/config.ts';
import type { MaskedAutoencoder } from '../model/model.ts';
import { writePng } from '../pictures/png.ts';
import { scaleOf, WHITE } from '../pictures/sheet.ts';
import { blank, fitted, paste, type Picture } from '../render/picture.ts';
import { pasted, pixelsOf, rebuiltPixels, type Rebuilt, type View } from '../render/rebuilt.ts';
import { maskedTile, tileOf } from '../render/tiles.ts';
import type { Preparer } from './prepare.ts';

export const PICTURES = 'pictures';
const NAME = /^epoch-(\d+)\.png$/;
/** Pictures of a run, however long it is. */
const MOST = 20;
const GAP = 4;

/** Epochs done when a picture was made, from its file's name; null where it is none of ours. */
export const pictureEpoch = (name: string): number | null => (NAME.test(name) ? Number(NAME.exec(name)?.[1]) : null);

/** Whether a picture is due after `epoch` of `epochs`, where every `every`th is looked at. */
export const isDue = (epoch: number, epochs: number, every: number): boolean =>
  epoch === 0 || epoch >= epochs || Math.floor((MOST * epoch) / epochs) > Math.floor((MOST * (epoch - every)) / epochs);

export interface ProgressOptions {
  /** Of the run. */
  readonly folder: string;
  readonly count: number;
  readonly keep: number;
  readonly seed: number;
  /** Told of damaged images, which are left out, and of a disk that refuses. */
  readonly note: (line: string) => void;
}

export class ProgressPictures {
  readonly #images: Dataset;
  readonly #model: MaskedAutoencoder;
  readonly #preparer: Preparer;
  readonly #engine: Engine;
  readonly #options: ProgressOptions;
  readonly #program: Program<{ ids: 'u32'; clock: 'u32' }, 'pred' | 'mask'>;

  constructor(engine: Engine, model: MaskedAutoencoder, preparer: Preparer, images: Dataset, options: ProgressOptions) {
    const { count, seed, keep } = options;
    this.#images = part(images, 0, Math.min(count, images.length));
    this.#model = model;
    this.#preparer = preparer;
    this.#engine = engine;
    this.#options = options;
    this.#program = engine.compile({ ids: 'u32', clock: 'u32' }, ({ ids, clock }, t) => {
      const noise = uniformNoise(ids, clock, patchesOf(model.config), seed, STREAM.heldout);
      const { pred, mask } = model.forward(t.use(preparer.images(ids.shape[0])), noise, keep);
      return { pred, mask };
    });
  }

  get images(): number {
    return this.#images.length;
  }

  /** What a batch of so many costs; allocates nothing. */
  plan(batch: number): Plan {
    return this.#program.plan({ ids: [batch], clock: [2] });
  }

  /** Takes pictures away that are of a later state than the run has: of one that was begun anew, or goes on from before them. */
  async open(epoch: number): Promise<void> {
    const folder = join(this.#options.folder, PICTURES);
    for (const name of await readdir(folder).catch(() => []))
      if ((pictureEpoch(name) ?? -1) > epoch) await removeFile(join(folder, name));
  }

  /** After `epoch` epochs, in batches of so many images at most. */
  async draw(epoch: number, batchSize: number): Promise<void> {
    const { folder, note } = this.#options;
    const rebuilt = await overReadable(this.#images, note, (order) => this.#rebuild(order, batchSize));
    const { config } = this.#model;
    const view: View = { config, mean: this.#images.mean, std: this.#images.std };
    const name = (what: string): string => join(folder, PICTURES, `${what}.png`);
    try {
      await makeFolder(join(folder, PICTURES), 'pictures');
      const shown = rebuilt.map(({ img, mask }) => ({ original: pixelsOf(img, view), mask }));
      await writePng(name('original'), column(shown.map(({ original }) => tileOf(original, config))));
      await writePng(name('masked'), column(shown.map(({ original, mask }) => maskedTile(original, mask, config))));
      const tiles = rebuilt.map((r, i) => pasted(shown[i].original, rebuiltPixels(r, view), r.mask, config));
      await writePng(
        name(`epoch-${String(epoch).padStart(4, '0')}`),
        column(tiles.map((pixels) => tileOf(pixels, config))),
      );
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      note(`${error.message}; training goes on without this picture`);
    }
  }

  async #rebuild(order: Uint32Array, batchSize: number): Promise<Rebuilt[]> {
    const { config } = this.#model;
    const [height, width] = config.img_size;
    const output = { chans: config.in_chans, height, width };
    const place = centrePlaces(output);
    const found: Rebuilt[] = [];
    const options = { order, batchSize, place, output, capacities: newCapacities() };
    for await (const batch of loadBatches(this.#images, options)) {
      const size = batch.ids.length;
      await this.#preparer.run(batch);
      const inputs = { ids: { data: batch.ids, shape: [size] }, clock: { data: new Uint32Array(2), shape: [2] } };
      const { pred, mask } = await (await this.#program.run(inputs)).read();
      const img = await this.#engine.read(this.#preparer.images(size));
      const nth = (data: ArrayLike<number>, i: number): Float32Array =>
        Float32Array.from(data).subarray((i * data.length) / size, ((i + 1) * data.length) / size);
      for (let i = 0; i < size; i++) found.push({ img: nth(img, i), pred: nth(pred, i), mask: nth(mask, i) });
    }
    return found;
  }
}

/** Tiles below one another, as small as in a sheet of many: a report shows a dozen such columns. */
function column(tiles: readonly Picture[]): Picture {
  const scale = scaleOf(Math.max(tiles[0].width, tiles[0].height), true);
  const sized = tiles.map((tile) => fitted(tile, scale));
  const step = sized[0].height + GAP;
  const picture = blank(sized[0].width, sized.length * step - GAP, WHITE);
  for (const [i, tile] of sized.entries()) paste(picture, tile, 0, i * step);
  return picture;
}
