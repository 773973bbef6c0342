// AdamW (Loshchilov & Hutter 2019) over all parameters at once.
import { adamwHyper, adamwLogs, adamwTick, adamwUpdate } from '../../kernels/adamw/adamw.ts';
import { fail } from '../errors.ts';
import type { Parameters } from '../parameters.ts';
import type { Slab, Tensor, Variable } from '../tensor.ts';
import type { Trace } from '../trace.ts';
import { flat, Optimizer, type OptimizerOptions } from './optimizer.ts';

/** Defaults are torch.optim.AdamW's: betas 0.9 and 0.999, eps 1e-8, decay 0.01. */
export interface AdamWOptions extends OptimizerOptions {
  betas?: readonly [number, number];
  eps?: number;
}

/** Adam with decoupled weight decay (Loshchilov and Hutter 2019); the step count lives on the GPU. */
export class AdamW extends Optimizer {
  readonly name = 'adamw';
  /** First and second moments by parameter. */
  readonly slots: { readonly m: ReadonlyMap<Variable, Variable>; readonly v: ReadonlyMap<Variable, Variable> };
  readonly #betas: readonly [number, number];

  constructor(parameters: Parameters, options: AdamWOptions = {}) {
    const { betas = [0.9, 0.999], eps = 1e-8 } = options;
    if (betas.some((b) => !(b >= 0 && b < 1))) fail(`adamw: betas must be in [0, 1), got ${betas.join(', ')}`);
    const [beta1, beta2] = betas;
    super('adamw', parameters, options, adamwHyper({ lr: 0, beta1, beta2, eps }));
    this.slots = { m: parameters.mirror('adamw.m'), v: parameters.mirror('adamw.v') };
    this.#betas = betas;
  }

  protected tick(t: Trace, hyper: Tensor): void {
    const [beta1, beta2] = this.#betas;
    t.run(adamwTick, { step: t.use(this.step), hyper }, adamwLogs({ beta1, beta2 }));
  }

  protected updateSlab(
    t: Trace,
    slab: Slab,
    common: Record<'p' | 'g' | 'group' | 'groups' | 'hyper', Tensor>,
    sizes: { n: number; groupCount: number },
  ): void {
    const state = (mirror: ReadonlyMap<Variable, Variable>) => flat(t, this.slabOf(mirror, slab));
    t.run(adamwUpdate, { ...common, m: state(this.slots.m), v: state(this.slots.v) }, sizes);
  }
}
