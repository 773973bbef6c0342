// The same images, rebuilt under the same masks as training goes on: a column of tiles for every twentieth of a run, in its folder `pictures`.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from '../../engine/engine.ts';
import { FileError, makeFolder, removeFile } from '../../engine/node/files.ts';
import type { Dataset } from '../data/dataset.ts';
import type { MaskedAutoencoder } from '../model/model.ts';
import { writePng } from '../pictures/png.ts';
import { scaleOf, WHITE } from '../pictures/sheet.ts';
import { blank, fitted, paste, type Picture } from '../render/picture.ts';
import { FixedImages, type FixedImagesOptions } from './fixed-images.ts';
import type { Preparer } from './prepare.ts';
import type { Watched } from './pretraining.ts';

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

interface ProgressOptions extends FixedImagesOptions {
  /** Of the run. */
  readonly folder: string;
  /** Told of damaged images, which are left out, and of a disk that refuses. */
  readonly note: (line: string) => void;
}

export class ProgressPictures extends FixedImages implements Watched {
  readonly isDue = isDue;
  readonly #options: ProgressOptions;

  constructor(engine: Engine, model: MaskedAutoencoder, preparer: Preparer, images: Dataset, options: ProgressOptions) {
    super(engine, model, preparer, images, options);
    this.#options = options;
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
    const shown = await this.tiles(batchSize);
    const write = (what: string, tiles: readonly Picture[]): Promise<void> => {
      const { picture, between } = column(tiles);
      return writePng(join(folder, PICTURES, `${what}.png`), picture, between);
    };
    try {
      await makeFolder(join(folder, PICTURES), 'pictures');
      for (const what of ['original', 'masked'] as const)
        await write(
          what,
          shown.map((tiles) => tiles[what]),
        );
      await write(
        `epoch-${String(epoch).padStart(4, '0')}`,
        shown.map(({ pasted }) => pasted),
      );
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      note(`${error.message}; training goes on without this picture`);
    }
  }
}

/** Tiles below one another, as small as in a sheet of many: a report shows a dozen such columns. `between`: rows of no tile, where a page shows through. */
function column(tiles: readonly Picture[]): { picture: Picture; between: (row: number) => boolean } {
  const scale = scaleOf(Math.max(tiles[0].width, tiles[0].height), true);
  const sized = tiles.map((tile) => fitted(tile, scale));
  const step = sized[0].height + GAP;
  const picture = blank(sized[0].width, sized.length * step - GAP, WHITE);
  for (const [i, tile] of sized.entries()) paste(picture, tile, 0, i * step);
  return { picture, between: (row) => row % step >= sized[0].height };
}
