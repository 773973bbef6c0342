// How many parameters a model has, and how that is written: the same in every command, file and page.
import type { ParameterSpec } from '../../engine/parameters.ts';
import { numel } from '../../engine/tensor.ts';

/** Values that are learnt. Tables of fixed positions are none: they are computed, and the reference gives them no gradient. */
export const parameterCount = (specs: Iterable<Pick<ParameterSpec, 'shape' | 'trainable'>>): number =>
  [...specs].reduce((sum, { shape, trainable = true }) => sum + (trainable ? numel(shape) : 0), 0);

/** `0.56 M`. */
export const millionsText = (count: number): string => `${(count / 1e6).toFixed(2)} M`;
