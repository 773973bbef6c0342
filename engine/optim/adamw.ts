// AdamW (Loshchilov & Hutter 2019) over all parameters at once; what changes from step to step lives on the GPU.
import { ADAMW_BLOCK, adamwClip, adamwHyper, adamwLogs, adamwTick, adamwUpdate } from '../../kernels/adamw/adamw.ts';
import { elementwiseAxpy, elementwiseFill } from '../../kernels/elementwise/elementwise.ts';
import { reduceSum, sumGroups } from '../../kernels/reduce/reduce.ts';
import type { Engine } from '../engine.ts';
import { fail } from '../errors.ts';
import type { LossScale } from './lossscale.ts';
import { Parameters } from '../parameters.ts';
import { numel, type Slab, Storage, Tensor, Variable } from '../tensor.ts';
import type { Trace } from '../trace.ts';

export interface AdamWOptions {
  betas?: readonly [number, number];
  eps?: number;
  /** Decay and learning-rate factor of a parameter; groups with equal values share a row of the table. */
  group?: (variable: Variable) => { weightDecay: number; lrScale: number };
  /** Clips the norm of all gradients together, as torch.nn.utils.clip_grad_norm_. */
  clipNorm?: number;
  /** For gradients that carry a scale: it is taken off, and a step that overflowed changes nothing. */
  lossScale?: LossScale;
}

export class AdamW {
  readonly parameters: Parameters;
  readonly gradients: ReadonlyMap<Variable, Variable>;
  /** First and second moments by parameter, for checkpoints. */
  readonly m: ReadonlyMap<Variable, Variable>;
  readonly v: ReadonlyMap<Variable, Variable>;
  /** (1), u32: updates done. */
  readonly step: Variable;
  readonly lossScale: LossScale | null;
  readonly #hyper: Variable;
  readonly #lr: Variable;
  readonly #norm: Variable;
  /** Partial sums of squares of every slab's gradients, in one slab, so that one clip sees them all; 0 between them. */
  readonly #squares: Parameters;
  readonly #tables = new Map<Slab, { group: Variable; groups: Variable; count: number }>();
  readonly #options: Required<Pick<AdamWOptions, 'betas' | 'eps' | 'group'>> & { clipNorm: number | null };

  constructor(parameters: Parameters, options: AdamWOptions = {}) {
    const {
      betas = [0.9, 0.999],
      eps = 1e-8,
      group = () => ({ weightDecay: 0.01, lrScale: 1 }),
      clipNorm = null,
      lossScale = null,
    } = options;
    if (betas.some((b) => !(b >= 0 && b < 1))) fail(`adamw: betas must be in [0, 1), got ${betas.join(', ')}`);
    if (clipNorm !== null && !(clipNorm > 0)) fail(`adamw: clipNorm must be above 0, got ${clipNorm}`);
    const { engine } = parameters;
    this.#options = { betas, eps, group, clipNorm };
    this.lossScale = lossScale;
    this.parameters = parameters;
    this.gradients = parameters.mirror('grad');
    this.m = parameters.mirror('adamw.m');
    this.v = parameters.mirror('adamw.v');
    this.step = engine.variable('adamw.step', [1], { dtype: 'u32', data: Uint32Array.of(0) });
    const [beta1, beta2] = betas;
    this.#hyper = engine.variable('adamw.hyper', [8], { data: adamwHyper({ lr: 0, beta1, beta2, eps }) });
    this.#lr = new Variable('adamw.lr', [1], this.#hyper.slab, 0, false);
    this.#norm = engine.variable('adamw.norm', [1]);
    const partial = (slab: Slab) => ({ name: slab.label, shape: [sumGroups(slab.length)], trainable: false });
    this.#squares = new Parameters(engine, 'adamw.squares', this.#slabs().map(partial));
    for (const slab of this.#slabs()) this.#tables.set(slab, this.#table(engine, slab));
  }

  /** The learning rate of the steps that are submitted from now on. */
  setLearningRate(lr: number): void {
    this.parameters.engine.write(this.#lr, Float32Array.of(lr));
  }

  /** Adds these gradients to those kept, or replaces them (`first`), by 0 where there is none. */
  accumulate(t: Trace, grads: ReadonlyMap<Variable, Tensor>, first: boolean): void {
    for (const [variable, kept] of this.gradients) {
      if (first && !grads.has(variable))
        t.store(kept, t.run(elementwiseFill, {}, { n: numel(kept.shape), value: 0 }).y);
    }
    for (const [variable, grad] of grads) {
      const kept = this.gradients.get(variable) ?? fail(`adamw: ${variable.name} is not among its parameters`);
      if (first) t.store(kept, grad);
      else t.run(elementwiseAxpy, { x: grad, y: t.use(kept) }, { n: numel(kept.shape), s: 1 });
    }
  }

  /** Updates every parameter from the kept gradients; gives their norm (1) where clipping was asked for. */
  update(t: Trace): Tensor | null {
    const [beta1, beta2] = this.#options.betas;
    const hyper = t.use(this.#hyper);
    const gradients = this.#slabs().map((slab) => this.#slabOf(this.gradients, slab));
    this.lossScale?.update(t, gradients, hyper);
    t.run(adamwTick, { step: t.use(this.step), hyper }, adamwLogs({ beta1, beta2 }));
    const norm = this.#options.clipNorm === null ? null : this.#clip(t, hyper, this.#options.clipNorm);
    for (const slab of this.#slabs()) {
      const { group, groups, count } = this.#tables.get(slab) as { group: Variable; groups: Variable; count: number };
      const whole = (mirror: ReadonlyMap<Variable, Variable>) => flat(t, this.#slabOf(mirror, slab));
      const state = { p: flat(t, slab), g: whole(this.gradients), m: whole(this.m), v: whole(this.v) };
      t.run(
        adamwUpdate,
        { ...state, group: t.use(group), groups: t.use(groups), hyper },
        { n: slab.length, groupCount: count },
      );
    }
    return norm;
  }

  /** Sum of squares of all gradients in two stages, then the multiplier that clips them. */
  #clip(t: Trace, hyper: Tensor, maxNorm: number): Tensor {
    for (const slab of this.#slabs()) {
      const sizes = { n: slab.length, groups: sumGroups(slab.length), SQUARE: true };
      t.store(
        this.#squares.get(slab.label),
        t.run(reduceSum, { x: flat(t, this.#slabOf(this.gradients, slab)) }, sizes).y,
      );
    }
    const [squares] = this.#squares.slabs;
    const { norm } = t.run(
      adamwClip,
      { squares: flat(t, squares), hyper },
      {
        groups: squares.length,
        maxNorm,
        SCALED: this.lossScale !== null,
      },
    );
    t.store(this.#norm, norm);
    return t.use(this.#norm);
  }

  #slabs(): Slab[] {
    return [...new Set(this.parameters.trainable.map((v) => v.slab))];
  }

  #slabOf(mirror: ReadonlyMap<Variable, Variable>, slab: Slab): Slab {
    const variable = this.parameters.trainable.find((v) => v.slab === slab) as Variable;
    return (mirror.get(variable) as Variable).slab;
  }

  /** Which row of (weight decay, lr scale) holds for every ADAMW_BLOCK elements of a slab. */
  #table(engine: Engine, slab: Slab): { group: Variable; groups: Variable; count: number } {
    const rows = new Map<string, number>();
    const values: number[] = [];
    const group = new Uint32Array(slab.length / ADAMW_BLOCK);
    for (const v of this.parameters.trainable.filter((p) => p.slab === slab)) {
      const { weightDecay, lrScale } = this.#options.group(v);
      const key = `${weightDecay} ${lrScale}`;
      if (!rows.has(key)) {
        rows.set(key, rows.size);
        values.push(weightDecay, lrScale);
      }
      group.fill(
        rows.get(key) as number,
        v.offset / ADAMW_BLOCK,
        (v.offset + Math.ceil(numel(v.shape) / ADAMW_BLOCK) * ADAMW_BLOCK) / ADAMW_BLOCK,
      );
    }
    const data = Float32Array.from(values);
    return {
      group: engine.variable('adamw.group', [group.length], { dtype: 'u32', data: group }),
      groups: engine.variable('adamw.groups', [rows.size, 2], { data }),
      count: rows.size,
    };
  }
}

/** A whole slab as one tensor. */
function flat(t: Trace, slab: Slab): Tensor {
  return new Tensor(t, new Storage(slab.dtype, slab.length, { kind: 'slab', slab, offset: 0 }), [slab.length]);
}
