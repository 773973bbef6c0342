// SGD with momentum (torch.optim.SGD, dampening 0), and LARS on top of it (You et al. 2017), over all parameters at once.
import { adamwLogs, adamwTick } from '../../kernels/adamw/adamw.ts';
import { LARS_PART, larsRatio, larsSquares } from '../../kernels/lars/lars.ts';
import { sgdUpdate } from '../../kernels/sgd/sgd.ts';
import { fail } from '../errors.ts';
import type { Parameters } from '../parameters.ts';
import { numel, type Slab, type Tensor, type Variable } from '../tensor.ts';
import type { Trace } from '../trace.ts';
import { blocksOf, flat, Optimizer, type OptimizerOptions } from './optimizer.ts';

type Common = Record<'p' | 'g' | 'group' | 'groups' | 'hyper', Tensor>;
interface Sizes {
  n: number;
  groupCount: number;
}

/** As torch.optim.SGD's, except that momentum is 0.9 unless said. */
export interface SgdOptions extends OptimizerOptions {
  momentum?: number;
  nesterov?: boolean;
}

/** Gradient descent with momentum, Nesterov's where asked (torch.optim.SGD). */
export class Sgd extends Optimizer {
  readonly name: 'sgd' | 'lars' = 'sgd';
  readonly slots: { readonly momentum: ReadonlyMap<Variable, Variable> };
  readonly #nesterov: boolean;

  constructor(parameters: Parameters, options: SgdOptions = {}) {
    const { momentum = 0.9, nesterov = false } = options;
    if (!(momentum >= 0 && momentum < 1)) fail(`sgd: momentum must be in [0, 1), got ${momentum}`);
    if (nesterov && momentum === 0) fail('sgd: nesterov needs a momentum above 0');
    super('sgd', parameters, options, Float32Array.of(0, momentum, 0, 0, 0, 0, 1, 0));
    this.slots = { momentum: parameters.mirror('momentum') };
    this.#nesterov = nesterov;
  }

  /** AdamW's, whose bias corrections nothing here reads. */
  protected tick(t: Trace, hyper: Tensor): void {
    t.run(adamwTick, { step: t.use(this.step), hyper }, adamwLogs({ beta1: 0.9, beta2: 0.9 }));
  }

  protected updateSlab(t: Trace, slab: Slab, common: Common, sizes: Sizes): void {
    this.move(t, slab, common, { ...sizes, tensors: 1, RATIO: false }, { owner: null, ratio: null });
  }

  protected move(
    t: Trace,
    slab: Slab,
    common: Common,
    sizes: Sizes & { tensors: number; RATIO: boolean },
    trust: { owner: Tensor | null; ratio: Tensor | null },
  ): void {
    const mu = flat(t, this.slabOf(this.slots.momentum, slab));
    t.run(sgdUpdate, { ...common, ...trust, mu }, { ...sizes, NESTEROV: this.#nesterov });
  }
}

/** As of facebookresearch/mae's util/lars.py. */
export interface LarsOptions extends OptimizerOptions {
  momentum?: number;
  trust?: number;
}

/** Which tensor every block belongs to, which parts every tensor has, and where these lie. */
interface Layout {
  readonly owner: Variable;
  readonly spans: Variable;
  readonly ends: Variable;
}

/**
 * SGD whose steps are as long as trust times the norm of what they change: g = (g + wd p) trust ||p|| / ||g + wd p||, tensor by tensor.
 * Those of one dimension (biases, norms) have no ratio; give them no decay by `group` (facebookresearch/mae's util/lars.py).
 */
export class Lars extends Sgd {
  override readonly name = 'lars';
  readonly #trust: number;
  readonly #layouts = new Map<Slab, Layout>();

  constructor(parameters: Parameters, options: LarsOptions = {}) {
    const { trust = 0.001, ...rest } = options;
    if (!(trust > 0)) fail(`lars: trust must be above 0, got ${trust}`);
    super(parameters, rest);
    this.#trust = trust;
    for (const slab of this.slabs()) this.#layouts.set(slab, this.#layout(slab));
  }

  protected override updateSlab(t: Trace, slab: Slab, common: Common, sizes: Sizes): void {
    const { owner, spans, ends } = this.#layouts.get(slab) as Layout;
    const [parts] = ends.shape;
    const [tensors] = spans.shape;
    const { squares } = t.run(larsSquares, { ...common, ends: t.use(ends) }, { ...sizes, parts });
    const { ratio } = t.run(larsRatio, { squares, spans: t.use(spans) }, { parts, tensors, trust: this.#trust });
    this.move(t, slab, common, { ...sizes, tensors, RATIO: true }, { owner: t.use(owner), ratio });
  }

  #layout(slab: Slab): Layout {
    const { engine } = this.parameters;
    const owner = new Uint32Array(slab.length / 64);
    const spans: number[] = [];
    const ends: number[] = [];
    const members = this.parameters.trainable.filter((v) => v.slab === slab);
    for (const [i, v] of members.entries()) {
      owner.fill(i, ...blocksOf(v));
      const first = ends.length / 2;
      const end = v.offset + numel(v.shape);
      for (let at = v.offset; at < end; at += LARS_PART) ends.push(at, Math.min(end, at + LARS_PART));
      spans.push(first, ends.length / 2, Number(v.shape.length < 2), 0);
    }
    const table = (name: string, shape: number[], data: ArrayLike<number>) =>
      engine.variable(`lars.${name}`, shape, { dtype: 'u32', data: Uint32Array.from(data) });
    return {
      owner: table('owner', [owner.length], owner),
      spans: table('spans', [members.length, 4], spans),
      ends: table('ends', [ends.length / 2, 2], ends),
    };
  }
}
