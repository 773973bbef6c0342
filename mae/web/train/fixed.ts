// The fixed images of a run as the tab shows them: now and then, at most a small part of the time, however long a step takes.
import { FixedImages, type FixedImagesOptions, type Tiles } from '../../train/fixed-images.ts';
import type { Watched } from '../../train/pretraining.ts';
import type { Engine } from '../../../engine/engine.ts';
import type { Dataset } from '../../data/dataset.ts';
import type { MaskedAutoencoder } from '../../model/model.ts';
import type { Picture } from '../../render/picture.ts';
import type { Preparer } from '../../train/prepare.ts';
import type { Shots } from './messages.ts';

/** Of all time, what looks of one kind may take. */
const SHARE = 0.1;

/** When the next look at something is due: shared by all of a run's attempts. */
export class LookClock {
  readonly #least: number;
  #next = 0;
  #before = false;

  /** @param least ms between two looks */
  constructor(least: number) {
    this.#least = least;
  }

  get due(): boolean {
    return performance.now() >= this.#next;
  }

  /** Asks for a look as soon as it may be. */
  ask(): void {
    this.#next = 0;
  }

  /** It was looked at elsewhere. */
  seen(): void {
    this.#next = Math.max(this.#next, performance.now() + this.#least);
  }

  /** Times a look. */
  async take<T>(look: () => Promise<T>): Promise<T> {
    const began = performance.now();
    const seen = await look();
    const ended = performance.now();
    // The first one compiles.
    this.#next = ended + Math.max(this.#least, this.#before ? (ended - began) / SHARE : 0);
    this.#before = true;
    return seen;
  }
}

interface ShownOptions extends FixedImagesOptions {
  readonly clock: LookClock;
  readonly tell: (shots: Shots) => void;
  /** Optimizer steps since the beginning. */
  readonly position: () => number;
}

export class ShownImages extends FixedImages implements Watched {
  readonly #options: ShownOptions;

  constructor(engine: Engine, model: MaskedAutoencoder, preparer: Preparer, images: Dataset, options: ShownOptions) {
    super(engine, model, preparer, images, options);
    this.#options = options;
  }

  async open(): Promise<void> {}

  isDue(): boolean {
    return this.#options.clock.due;
  }

  async draw(_epoch: number, batchSize: number): Promise<void> {
    const { clock, tell, position } = this.#options;
    tell(shotsOf(await clock.take(() => this.tiles(batchSize)), position()));
  }
}

function shotsOf(tiles: readonly Tiles[], step: number): Shots {
  const [{ original }] = tiles;
  const of = (name: keyof Tiles): Uint8ClampedArray<ArrayBuffer> => column(tiles.map((tile) => tile[name]));
  const columns = { original: of('original'), masked: of('masked'), pasted: of('pasted') };
  return { kind: 'shots', step, width: original.width, height: original.height * tiles.length, ...columns };
}

/** Pictures of one size below one another, as a canvas takes them. */
function column(pictures: readonly Picture[]): Uint8ClampedArray<ArrayBuffer> {
  const pixels = pictures.reduce((sum, { data }) => sum + data.length / 3, 0);
  const rgba = new Uint8ClampedArray(4 * pixels).fill(255);
  let at = 0;
  for (const { data } of pictures)
    for (let i = 0; i < data.length; i += 3, at += 4) for (let c = 0; c < 3; c++) rgba[at + c] = data[i + c];
  return rgba;
}
