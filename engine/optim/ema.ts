// Exponential moving average of parameters (Polyak & Juditsky 1992, as used for evaluation): average = decay average + (1 - decay) p.
import { elementwiseLerp } from '../../kernels/elementwise/elementwise.ts';
import { fail } from '../errors.ts';
import type { Parameters } from '../parameters.ts';
import type { Trace } from '../trace.ts';
import { flat } from './optimizer.ts';

/** Averages of parameters over the updates: `update` records one. */
export class Ema {
  /** What is averaged. */
  readonly parameters: Parameters;
  /** Another set of the same parameters, which holds the averages and must have been loaded with what these begin with. */
  readonly averages: Parameters;
  readonly #decay: number;

  constructor(parameters: Parameters, averages: Parameters, decay: number) {
    if (!(decay > 0 && decay < 1)) fail(`ema: decay must be between 0 and 1, got ${decay}`);
    if (parameters.slabs.some(({ length }, i) => length !== averages.slabs[i]?.length))
      fail('ema: parameters and averages must be made of the same specs');
    this.parameters = parameters;
    this.averages = averages;
    this.#decay = decay;
  }

  /** After the optimizer's update; one dispatch for every slab that is trained. */
  update(t: Trace): void {
    const trained = new Set(this.parameters.trainable.map((v) => v.slab));
    for (const [i, slab] of this.parameters.slabs.entries()) {
      if (!trained.has(slab)) continue;
      const y = flat(t, this.averages.slabs[i]);
      t.run(elementwiseLerp, { x: flat(t, slab), y }, { n: slab.length, s: 1 - this.#decay });
    }
  }
}
