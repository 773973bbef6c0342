// Dynamic loss scale (Micikevicius et al. 2018), kept on the GPU: gradients are multiplied by it so that f16 holds them; a step
// that overflows is skipped and halves it, many good ones double it. Nothing is read back.
import { elementwiseScale } from '../../kernels/elementwise/elementwise.ts';
import { lossscaleCheck, lossscaleUpdate } from '../../kernels/lossscale/lossscale.ts';
import { sumGroups } from '../../kernels/reduce/reduce.ts';
import type { Engine } from '../engine.ts';
import { fail } from '../errors.ts';
import { CHUNK } from '../parameters.ts';
import { Slab, Storage, Tensor, Variable } from '../tensor.ts';
import type { Trace } from '../trace.ts';

export interface LossScaleOptions {
  /** The first scale. */
  initial?: number;
  /** Steps without an overflow after which it doubles. */
  interval?: number;
}

/** Never passed: the scale does not grow. */
const NEVER = 2 ** 32 - 1;

export class LossScale {
  /** A scale of 1 that stays: it only looks for infinities and NaN, and skips the steps that have any. */
  static guard(engine: Engine): LossScale {
    return new LossScale(engine, { initial: 1, interval: NEVER });
  }

  /** (1), f32 */
  readonly scale: Variable;
  /** (1), u32: steps since it last changed. */
  readonly good: Variable;
  /** (1), u32: steps that were skipped since the beginning. */
  readonly skipped: Variable;
  readonly #interval: number;
  readonly #flags: Variable[] = [];

  constructor(engine: Engine, { initial = 65536, interval = 2000 }: LossScaleOptions = {}) {
    if (!(initial >= 1 && Number.isFinite(initial)))
      fail(`loss scale: initial must be a number of at least 1, got ${initial}`);
    if (!(Number.isInteger(interval) && interval > 0))
      fail(`loss scale: interval must be a whole number above 0, got ${interval}`);
    this.#interval = interval;
    this.scale = engine.variable('lossscale.scale', [1], { data: Float32Array.of(initial) });
    this.good = engine.variable('lossscale.good', [1], { dtype: 'u32', data: Uint32Array.of(0) });
    this.skipped = engine.variable('lossscale.skipped', [1], { dtype: 'u32', data: Uint32Array.of(0) });
  }

  /** (1): what backward starts from, the scale times the micro-batch's part in the average. */
  seed(t: Trace, weight: number): Tensor {
    const x = t.constant(Float32Array.of(weight), [1]);
    return t.run(elementwiseScale, { x, s: t.use(this.scale) }, { n: 1 }).y;
  }

  /**
   * Looks for infinities and NaN in the gradients, whole slabs that carry the scale, and settles this step: hyper (8) of
   * the optimizer gets the multiplier that takes the scale off and whether to skip; the next step's scale follows.
   */
  update(t: Trace, gradients: readonly Slab[], hyper: Tensor): void {
    const flags = this.#flagsFor(gradients);
    gradients.forEach((slab, i) => {
      const [groups] = flags[i].shape;
      t.store(flags[i], t.run(lossscaleCheck, { g: bitsOf(t, slab) }, { n: slab.length, groups }).flags);
    });
    const state = { scale: t.use(this.scale), good: t.use(this.good), skipped: t.use(this.skipped) };
    const { slab } = flags[0];
    const all = { flags: bitsOf(t, slab), ...state, hyper };
    t.run(lossscaleUpdate, all, { groups: slab.length, interval: this.#interval });
  }

  /** Partial flags of every slab in one buffer, so that one dispatch sees them all; 0 between them. */
  #flagsFor(gradients: readonly Slab[]): readonly Variable[] {
    if (this.#flags.length) return this.#flags;
    const sizes = gradients.map(({ length }) => sumGroups(length));
    const room = (n: number): number => Math.ceil(n / CHUNK) * CHUNK;
    const slab = new Slab(
      'lossscale.flags',
      'u32',
      sizes.reduce((sum, n) => sum + room(n), 0),
    );
    let offset = 0;
    for (const [i, n] of sizes.entries()) {
      this.#flags.push(new Variable(`lossscale.flags ${i}`, [n], slab, offset, false));
      offset += room(n);
    }
    return this.#flags;
  }
}

/** A whole slab of 4-byte elements by its bits. */
function bitsOf(t: Trace, slab: Slab): Tensor {
  return new Tensor(t, new Storage('u32', slab.length, { kind: 'slab', slab, offset: 0 }), [slab.length]);
}
