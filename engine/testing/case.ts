// What a check of an op starts from: inputs with their shapes, and how the op is called.
import type { Random } from '../../kernels/random/random.ts';
import { type DType, numel, type Shape, type Tensor } from '../tensor.ts';

/** An input of a case. */
export interface Given {
  readonly shape: Shape;
  readonly dtype: DType;
  /** Representable in f32, so that host and device start from the same numbers. */
  readonly data: readonly number[];
  /** Given as a trainable variable, whose gradient is checked. */
  readonly grad: boolean;
}

/** An op at given inputs: `forward` gets them as tensors by name, and names its outputs. */
export interface OpCase {
  readonly inputs: Readonly<Record<string, Given>>;
  readonly forward: (x: Record<string, Tensor>) => Record<string, Tensor>;
}

/** An input whose element i is `at(i)`, rounded to f32 where it is a float. */
export const given = (
  shape: Shape,
  at: (i: number) => number,
  dtype: DType = 'f32',
  grad = dtype === 'f32',
): Given => ({
  shape,
  dtype,
  data: Array.from({ length: numel(shape) }, (_, i) => (dtype === 'f32' ? Math.fround(at(i)) : at(i))),
  grad,
});

/** An input of N(0, 1) numbers, with a gradient. */
export const normal = (shape: Shape, rng: Random): Given => given(shape, () => rng.normal());
