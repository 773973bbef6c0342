// Random ugly inputs for rows of ops: sizes around those that kernels work in, numbers, masks and whole numbers.
import type { Random } from '../../kernels/random/random.ts';
import type { Shape } from '../../engine/tensor.ts';
import { type Given, given } from '../../engine/testing/case.ts';

/** A generator of inputs: N(0, 1) with a gradient, data without one, and whole numbers. */
export function kit(rng: Random) {
  const permuted = (n: number): number[] => {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = rng.below(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  };
  return {
    pick: <T>(...choices: readonly T[]): T => choices[rng.below(choices.length)],
    upTo: (n: number): number => 1 + rng.below(n),
    permuted,
    normal: (...shape: number[]): Given => given(shape, () => rng.normal(), 'f32', true),
    data: (...shape: number[]): Given => given(shape, () => rng.normal(), 'f32', false),
    bits: (p: number, ...shape: number[]): Given => given(shape, () => Number(rng.uniform() < p), 'f32', false),
    words: (...shape: number[]): Given => given(shape, () => rng.below(2 ** 32), 'u32', false),
    ids: (shape: Shape, values: readonly number[]): Given => given(shape, (i) => values[i], 'u32', false),
    /** A random order of the patches of every image, its inverse, and its first `keep`. */
    masking: (batch: number, patches: number, keep: number) => {
      const orders = Array.from({ length: batch }, () => permuted(patches));
      const inverses = orders.map((order) => order.map((_, l) => order.indexOf(l)));
      const whole = [batch, patches];
      return {
        ids_shuffle: given(whole, (i) => orders.flat()[i], 'u32', false),
        ids_restore: given(whole, (i) => inverses.flat()[i], 'u32', false),
        ids_keep: given([batch, keep], (i) => orders.flatMap((o) => o.slice(0, keep))[i], 'u32', false),
      };
    },
  };
}
export type Kit = ReturnType<typeof kit>;

export const SIDES = [1, 2, 3, 5, 7, 13, 15, 16, 17, 31, 33, 63, 64, 65, 67] as const;
