// Packed uint8 crops to normalised images on the device: PIL's exact resize as a two-dispatch program.
import type { Engine, Program } from '../../engine/engine.ts';
import { fail } from '../../engine/errors.ts';
import type { Plan } from '../../engine/plan.ts';
import type { HostTensor, Tensor, Variable } from '../../engine/tensor.ts';
import {
  augmentBytes,
  augmentHorizontal,
  augmentNormalize,
  augmentVertical,
  normalizeTable,
} from '../../kernels/augment/augment.ts';
import { imageWords } from '../../kernels/randaugment/randaugment.ts';
import { IMAGE_WORDS } from '../../kernels/augment/layout.ts';
import type { Capacities, Packed } from '../data/pack.ts';
import { applyRandAugment, fillOf } from '../data/randaugment.ts';
import { mixBlend, mixErase } from '../../kernels/mix/mix.ts';
import type { EncoderConfig } from '../model/config.ts';
import { STREAM } from '../data/streams.ts';

type Inputs = { pixels: 'u32'; images: 'u32'; taps: 'i32'; plan: 'f32' };

/** Makes images of packed crops; its programs and the variables that images are put into serve every batch. */
export class Preparer {
  readonly #engine: Engine;
  readonly #config: EncoderConfig;
  readonly #fill: Variable;
  readonly #table: Variable;
  readonly #images = new Map<number, Variable>();
  readonly #programs = new Map<string, Program<Inputs, never>>();
  #erase: Program<{ boxes: 'u32'; ids: 'u32'; clock: 'u32' }, never> | null = null;
  #blend: Program<{ ids: 'u32'; how: 'f32' }, never> | null = null;

  /** `mean` and `std` per channel, of values in [0, 1]. */
  constructor(
    engine: Engine,
    config: EncoderConfig,
    { mean, std }: { mean: readonly number[]; std: readonly number[] },
  ) {
    if (mean.length !== config.in_chans || std.length !== config.in_chans)
      fail(
        `images: the model takes ${config.in_chans} channels, mean and std must have as many numbers, got ${mean.length} and ${std.length}`,
      );
    this.#engine = engine;
    this.#config = config;
    this.#fill = engine.variable('fill', [mean.length], { dtype: 'u32', data: fillOf(mean) });
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

  /** Crops, resizes, flips and normalises a batch into `images(batch)`; `plan` (batch, slots, 8) is of operations on its bytes before that. */
  async run({ pixels, words, images, taps, mid_words }: Packed, plan: HostTensor | null = null): Promise<void> {
    await this.#program(mid_words, plan !== null).run({
      plan: plan ?? { data: new Float32Array(1), shape: [1] },
      pixels: { pieces: pixels, shape: [words] },
      images: { data: images, shape: [images.length / IMAGE_WORDS, IMAGE_WORDS] },
      taps: { data: taps, shape: [taps.length] },
    });
  }

  /** What `run` costs for a batch whose boxes need such buffers; allocates nothing. */
  plan(batch: number, { words, taps, mid }: Omit<Capacities, 'cache'>): Plan {
    return this.#program(mid, false).plan({ plan: [1], pixels: [words], images: [batch, IMAGE_WORDS], taps: [taps] });
  }

  /** Boxes of noise into the images that `run` has put in place, and pairs of them into one another; null: not. */
  async alter(
    { ids, clock, seed }: { ids: Uint32Array; clock: Uint32Array; seed: number },
    boxes: Uint32Array | null,
    how: Float32Array | null,
  ): Promise<void> {
    const batch = ids.length;
    if (how && batch % 2) fail(`mixup: images are mixed in pairs: give an even batch_size, got ${batch}`);
    if (boxes) {
      this.#erase ??= this.#engine.compile({ boxes: 'u32', ids: 'u32', clock: 'u32' }, (inputs, t) => {
        const [n] = inputs.ids.shape;
        const key = { seed, stream: STREAM.eraseNoise };
        const { y } = t.run(mixErase, { x: t.use(this.images(n)), ...inputs }, { ...this.#sizes(n), ...key });
        t.store(this.images(n), y);
        return {} as Record<never, Tensor>;
      });
      const given = { data: ids, shape: [batch] };
      await this.#erase.run({
        boxes: { data: boxes, shape: [batch, 4] },
        ids: given,
        clock: { data: clock, shape: [2] },
      });
    }
    if (!how) return;
    this.#blend ??= this.#engine.compile({ ids: 'u32', how: 'f32' }, (inputs, t) => {
      const [n] = inputs.ids.shape;
      const { y } = t.run(mixBlend, { x: t.use(this.images(n)), how: inputs.how }, this.#sizes(n));
      t.store(this.images(n), y);
      return {} as Record<never, Tensor>;
    });
    await this.#blend.run({ ids: { data: ids, shape: [batch] }, how: { data: how, shape: [5] } });
  }

  #sizes(batch: number) {
    const { in_chans: chans, img_size } = this.#config;
    return { batch, chans, height: img_size[0], width: img_size[1] };
  }

  #program(mid_words: number, operated: boolean): Program<Inputs, never> {
    const key = `${mid_words} ${operated}`;
    const program = this.#programs.get(key) ?? this.#compile(mid_words, operated);
    this.#programs.set(key, program);
    return program;
  }

  #compile(mid_words: number, operated: boolean): Program<Inputs, never> {
    const { in_chans: chans, img_size } = this.#config;
    const [height, width] = img_size;
    const types = { pixels: 'u32', images: 'u32', taps: 'i32', plan: 'f32' } as const;
    return this.#engine.compile(types, ({ pixels, images, taps, plan }, t) => {
      const [batch] = images.shape;
      const sizes = { batch, chans, width, tap_words: taps.shape[0], mid_words };
      const { mid } = t.run(augmentHorizontal, { pixels, images, taps }, { ...sizes, words: pixels.shape[0] });
      const table = t.use(this.#table);
      if (!operated)
        t.store(this.images(batch), t.run(augmentVertical, { mid, images, taps, table }, { ...sizes, height }).img);
      else {
        const words = imageWords(height, width, chans);
        const { bytes } = t.run(augmentBytes, { mid, images, taps }, { ...sizes, height, words });
        const done = applyRandAugment(t, bytes, plan, t.use(this.#fill), { height, width, chans });
        t.store(
          this.images(batch),
          t.run(augmentNormalize, { bytes: done, table }, { batch, chans, height, width, words }).img,
        );
      }
      return {} as Record<never, Tensor>;
    });
  }
}
