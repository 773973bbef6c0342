// What optimizers share: gradients kept beside the parameters, decay and rate by group, clipping, the loss scale. What changes from
// step to step lives on the GPU.
import { ADAMW_BLOCK, adamwClip } from '../../kernels/adamw/adamw.ts';
import { elementwiseAxpy, elementwiseFill } from '../../kernels/elementwise/elementwise.ts';
import { reduceSum, sumGroups } from '../../kernels/reduce/reduce.ts';
import { fail } from '../errors.ts';
import { Parameters } from '../parameters.ts';
import { numel, type Slab, Storage, Tensor, Variable } from '../tensor.ts';
import type { Trace } from '../trace.ts';
import { LossScale } from './lossscale.ts';

/** What every optimizer can be told. */
export interface OptimizerOptions {
  /** Decay and learning-rate factor of a parameter; groups with equal values share a row of the table. */
  group?: (variable: Variable) => { weightDecay: number; lrScale: number };
  /** Clips the norm of all gradients together, as torch.nn.utils.clip_grad_norm_. */
  clipNorm?: number;
  /** For gradients that carry a scale: it is taken off, and a step that overflowed changes nothing. */
  lossScale?: LossScale;
  /** A step whose gradients hold an infinity or a NaN changes nothing; with a loss scale that is so in any case. */
  skipNonFinite?: boolean;
}

/** Buffers of a slab: which row of (weight decay, lr scale) holds for every ADAMW_BLOCK elements. */
interface Table {
  readonly group: Variable;
  readonly groups: Variable;
  readonly count: number;
}

/** What all optimizers can do: keep gradients, clip, and record an update. */
export abstract class Optimizer {
  /** What its state is called in checkpoints. */
  abstract readonly name: 'adamw' | 'sgd' | 'lars';
  /** What is kept per parameter, by the names of checkpoints: moments, momentum. */
  abstract readonly slots: Readonly<Record<string, ReadonlyMap<Variable, Variable>>>;
  /** What it updates. */
  readonly parameters: Parameters;
  /**
   * What the last step that ended computed, of each parameter's shape, in f32. Activations may lie here until a step writes its gradients
   * (lodge.ts): while one is inspected, and after an inspection that ended early, these are no gradients. The next step writes them anew.
   */
  readonly gradients: ReadonlyMap<Variable, Variable>;
  /** (1), u32: updates done. */
  readonly step: Variable;
  /** The scale that gradients carry, which is taken off; null where they carry none. */
  readonly lossScale: LossScale | null;
  /** (1), u32: steps that were skipped because a gradient was not finite, of this process; null where they are not looked at, or scaled. */
  readonly skipped: Variable | null;
  readonly #guard: LossScale | null;
  /** (8): lr first, the gradients' multiplier and whether to skip last (adamw.update, sgd.update). */
  protected readonly hyper: Variable;
  readonly #lr: Variable;
  readonly #norm: Variable;
  readonly #clipNorm: number | null;
  /** Partial sums of squares of every slab's gradients, in one slab, so that one clip sees them all; 0 between them. */
  readonly #squares: Parameters;
  readonly #tables = new Map<Slab, Table>();

  /** `initial`: hyper (8) before the first step. */
  protected constructor(name: string, parameters: Parameters, options: OptimizerOptions, initial: Float32Array) {
    const {
      group = () => ({ weightDecay: 0.01, lrScale: 1 }),
      clipNorm = null,
      lossScale = null,
      skipNonFinite,
    } = options;
    if (clipNorm !== null && !(clipNorm > 0)) fail(`${name}: clipNorm must be above 0, got ${clipNorm}`);
    const { engine } = parameters;
    this.#clipNorm = clipNorm;
    this.lossScale = lossScale;
    this.#guard = lossScale ?? (skipNonFinite ? LossScale.guard(engine) : null);
    this.skipped = lossScale ? null : (this.#guard?.skipped ?? null);
    this.parameters = parameters;
    this.gradients = parameters.mirror('grad', { lends: true });
    this.step = engine.variable(`${name}.step`, [1], { dtype: 'u32', data: Uint32Array.of(0) });
    this.hyper = engine.variable(`${name}.hyper`, [8], { data: initial });
    this.#lr = new Variable(`${name}.lr`, [1], this.hyper.slab, 0, false);
    this.#norm = engine.variable(`${name}.norm`, [1]);
    const partial = (slab: Slab) => ({ name: slab.label, shape: [sumGroups(slab.length)], trainable: false });
    this.#squares = new Parameters(engine, `${name}.squares`, this.slabs().map(partial));
    for (const slab of this.slabs()) this.#tables.set(slab, this.#table(name, slab, group));
  }

  /** The learning rate of the steps that are submitted from now on. */
  setLearningRate(lr: number): void {
    if (!(Number.isFinite(lr) && lr >= 0)) fail(`${this.name}: lr must be a number of at least 0, got ${lr}`);
    this.parameters.engine.write(this.#lr, Float32Array.of(lr));
  }

  /** Adds these gradients to those kept, or replaces them (`first`), by 0 where there is none. */
  accumulate(t: Trace, grads: ReadonlyMap<Variable, Tensor>, first: boolean): void {
    for (const [variable, kept] of this.gradients) {
      if (first && !grads.has(variable))
        t.store(kept, t.run(elementwiseFill, {}, { n: numel(kept.shape), value: 0 }).y);
    }
    for (const [variable, grad] of grads) {
      const kept = this.gradients.get(variable) ?? fail(`${this.name}: ${variable.name} is not among its parameters`);
      if (first) t.store(kept, grad);
      else t.run(elementwiseAxpy, { x: grad, y: t.use(kept) }, { n: numel(kept.shape), s: 1 });
    }
  }

  /** Updates every parameter from the kept gradients; gives their norm (1) where clipping was asked for. */
  update(t: Trace): Tensor | null {
    const hyper = t.use(this.hyper);
    const gradients = this.slabs().map((slab) => this.slabOf(this.gradients, slab));
    this.#guard?.update(t, gradients, hyper);
    this.tick(t, hyper);
    const norm = this.#clipNorm === null ? null : this.#clip(t, hyper, this.#clipNorm);
    for (const slab of this.slabs()) {
      const { group, groups, count } = this.#tables.get(slab) as Table;
      const g = flat(t, this.slabOf(this.gradients, slab));
      const common = { p: flat(t, slab), g, group: t.use(group), groups: t.use(groups), hyper };
      this.updateSlab(t, slab, common, { n: slab.length, groupCount: count });
    }
    return norm;
  }

  /** Counts the step, before the slabs are updated. */
  protected abstract tick(t: Trace, hyper: Tensor): void;

  protected abstract updateSlab(
    t: Trace,
    slab: Slab,
    common: Record<'p' | 'g' | 'group' | 'groups' | 'hyper', Tensor>,
    sizes: { n: number; groupCount: number },
  ): void;

  /** Slabs that hold trainable parameters. */
  protected slabs(): Slab[] {
    return [...new Set(this.parameters.trainable.map((v) => v.slab))];
  }

  protected slabOf(mirror: ReadonlyMap<Variable, Variable>, slab: Slab): Slab {
    const variable = this.parameters.trainable.find((v) => v.slab === slab) as Variable;
    return (mirror.get(variable) as Variable).slab;
  }

  /** Sum of squares of all gradients in two stages, then the multiplier that clips them. */
  #clip(t: Trace, hyper: Tensor, maxNorm: number): Tensor {
    for (const slab of this.slabs()) {
      const sizes = { n: slab.length, groups: sumGroups(slab.length), SQUARE: true };
      t.store(
        this.#squares.get(slab.label),
        t.run(reduceSum, { x: flat(t, this.slabOf(this.gradients, slab)) }, sizes).y,
      );
    }
    const [squares] = this.#squares.slabs;
    const problem = { groups: squares.length, maxNorm, SCALED: this.lossScale !== null };
    t.store(this.#norm, t.run(adamwClip, { squares: flat(t, squares), hyper }, problem).norm);
    return t.use(this.#norm);
  }

  #table(name: string, slab: Slab, of: Required<OptimizerOptions>['group']): Table {
    const { engine } = this.parameters;
    const rows = new Map<string, number>();
    const values: number[] = [];
    const group = new Uint32Array(slab.length / ADAMW_BLOCK);
    for (const v of this.parameters.trainable.filter((p) => p.slab === slab)) {
      const { weightDecay, lrScale } = of(v);
      const key = `${weightDecay} ${lrScale}`;
      if (!rows.has(key)) {
        rows.set(key, rows.size);
        values.push(weightDecay, lrScale);
      }
      group.fill(rows.get(key) as number, ...blocksOf(v));
    }
    const data = Float32Array.from(values);
    return {
      group: engine.variable(`${name}.group`, [group.length], { dtype: 'u32', data: group }),
      groups: engine.variable(`${name}.groups`, [rows.size, 2], { data }),
      count: rows.size,
    };
  }
}

/** First block of ADAMW_BLOCK elements of a variable in its slab, and the one after its last. */
export const blocksOf = (v: Variable): [number, number] => {
  const first = v.offset / ADAMW_BLOCK;
  return [first, first + Math.ceil(numel(v.shape) / ADAMW_BLOCK)];
};

/** A whole slab as one tensor. */
export function flat(t: Trace, slab: Slab): Tensor {
  return new Tensor(t, new Storage(slab.dtype, slab.length, { kind: 'slab', slab, offset: 0 }), [slab.length]);
}
