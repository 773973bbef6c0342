// torch.autograd.gradcheck on the host: a recorded backward against central differences of its forward, both in f64.
import type { Profile } from '../../kernels/kernel.ts';
import { random } from '../../kernels/random/random.ts';
import { fail } from '../errors.ts';
import type { OpCase } from './case.ts';
import { onHost } from './gradient.ts';

/** torch's numbers. */
const EPS = 1e-6;
const ATOL = 1e-5;
const RTOL = 1e-3;
/** Elements of a tensor that are moved one by one; a move of all together covers the rest. */
const SINGLE = 10;

/**
 * Differentiates the case's float outputs, weighed at random and summed, through the op's own backward, and compares with
 * central differences of its forward: both on the kernels' references in f64, without a GPU. Needs no tolerance of yours:
 * what is wrong by more than 1e-3 of itself fails.
 * @throws TesseraeError where a gradient is not what differences say, with both numbers and the shapes
 */
export function gradcheck(c: OpCase, profile: Profile = 'simt', seed = 0): void {
  const rng = random(seed, 2);
  const where = Object.entries(c.inputs)
    .map(([name, g]) => `${name} (${g.shape})`)
    .join(', ');
  const host = onHost(c, profile, seed);
  const out = host.run();
  if (!host.values.size) return;
  if (!Number.isFinite(host.loss())) fail(`gradcheck: the weighed sum of the outputs is ${host.loss()}; ${where}`);
  for (const [name, values] of host.values) {
    // None is recorded for what the loss does not depend on: then the differences must be 0.
    const grad = out[`d.${name}`] ?? new Float64Array(values.length);
    if (grad.length !== values.length)
      fail(`gradcheck: d${name} has ${grad.length} elements, ${name} has ${values.length}; ${where}`);
    const along = (direction: ArrayLike<number>): number => {
      const before = values.slice();
      const at = (step: number): number => {
        for (let e = 0; e < values.length; e++) values[e] = before[e] + step * direction[e];
        return host.loss();
      };
      const slope = (at(EPS) - at(-EPS)) / (2 * EPS);
      values.set(before);
      return slope;
    };
    const check = (numeric: number, analytic: number, what: string, scale: number): void => {
      const bound = ATOL * scale + RTOL * Math.abs(numeric);
      if (!(Math.abs(numeric - analytic) <= bound))
        fail(`gradcheck: d${name}${what} is ${analytic}, differences say ${numeric}; ${where}`);
    };
    for (let s = 0; s < Math.min(SINGLE, values.length); s++) {
      const e = values.length <= SINGLE ? s : rng.below(values.length);
      const unit = new Float64Array(values.length);
      unit[e] = 1;
      check(along(unit), grad[e], `[${e}]`, 1);
    }
    // All elements at once, in a random direction: sqrt(n) errors may add up.
    const direction = values.map(() => rng.normal());
    const slope = direction.reduce((sum, d, e) => sum + d * grad[e], 0);
    check(along(direction), slope, ' along a random direction', Math.sqrt(values.length));
  }
}
