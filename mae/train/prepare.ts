// Packed uint8 crops to normalised images on the device: PIL's exact resize as a two-dispatch program.
import type { Engine, Program } from '../../engine/engine.ts';
import type { Tensor, Variable } from '../../engine/tensor.ts';
import { augmentHorizontal, augmentVertical, normalizeTable } from '../../kernels/augment/augment.ts';
import { IMAGE_WORDS } from '../../kernels/augment/layout.ts';
import type { Packed } from '../data/pack.ts';
import type { MaeConfig } from '../model/config.ts';

type Inputs = { pixels: 'u32'; images: 'u32'; taps: 'i32' };

export class Preparer {
  readonly #engine: Engine;
  readonly #config: MaeConfig;
  readonly #table: Variable;
  readonly #images = new Map<number, Variable>();
  readonly #programs = new Map<number, Program<Inputs, never>>();

  constructor(engine: Engine, config: MaeConfig, { mean, std }: { mean: readonly number[]; std: readonly number[] }) {
    this.#engine = engine;
    this.#config = config;
    this.#table = engine.variable('normalize', [mean.length, 256], { data: normalizeTable(mean, std) });
  }

  /** (batch, C, H, W): where `run` puts the images of a batch of this size. */
  images(batch: number): Variable {
    let variable = this.#images.get(batch);
    if (!variable) {
      const { in_chans, img_size } = this.#config;
      variable = this.#engine.variable(`images ${batch}`, [batch, in_chans, ...img_size]);
      this.#images.set(batch, variable);
    }
    return variable;
  }

  /** Crops, resizes, flips and normalises a batch into `images(batch)`. */
  async run({ pixels, images, taps, mid_words }: Packed): Promise<void> {
    let program = this.#programs.get(mid_words);
    if (!program) this.#programs.set(mid_words, (program = this.#compile(mid_words)));
    await program.run({
      pixels: { data: pixels, shape: [pixels.length] },
      images: { data: images, shape: [images.length / IMAGE_WORDS, IMAGE_WORDS] },
      taps: { data: taps, shape: [taps.length] },
    });
  }

  #compile(mid_words: number): Program<Inputs, never> {
    const { in_chans: chans, img_size } = this.#config;
    const [height, width] = img_size;
    return this.#engine.compile({ pixels: 'u32', images: 'u32', taps: 'i32' }, ({ pixels, images, taps }, t) => {
      const [batch] = images.shape;
      const sizes = { batch, chans, width, tap_words: taps.shape[0], mid_words };
      const { mid } = t.run(augmentHorizontal, { pixels, images, taps }, { ...sizes, words: pixels.shape[0] });
      const { img } = t.run(augmentVertical, { mid, images, taps, table: t.use(this.#table) }, { ...sizes, height });
      t.store(this.images(batch), img);
      return {} as Record<never, Tensor>;
    });
  }
}
