// What `run` takes for an input: one array or several pieces of it, checked against the dtype and the shape that it says.
import { fail, shapeText } from './errors.ts';
import {
  checkArray,
  checkShape,
  type DType,
  type HostData,
  type HostPieces,
  type HostTensor,
  kindOf,
  numel,
} from './tensor.ts';

export type Input = HostTensor | HostPieces;

/** One behind the other. */
export const arraysOf = (given: Input): readonly HostData[] => ('pieces' in given ? given.pieces : [given.data]);

/** @throws where it is no such input */
export const checkInput = (name: string, dtype: DType, given: Input | undefined): Input => {
  if (given === undefined || given === null) fail(`run: input ${name} is missing`);
  const arrays = Object(given) === given && ('pieces' in given || 'data' in given) ? arraysOf(given) : null;
  if (!Array.isArray(arrays) || !Array.isArray(given.shape))
    fail(`run: input ${name} must be { data, shape }, a typed array and its sizes, got ${kindOf(given)}`);
  checkShape(`run: input ${name}`, given.shape);
  for (const data of arrays) checkArray(`run: input ${name}`, dtype, data);
  const length = arrays.reduce((sum, data) => sum + data.length, 0);
  const elements = numel(given.shape);
  if ('pieces' in given ? length > elements : length !== elements) {
    const has = 'pieces' in given ? 'its pieces have' : 'its data has';
    fail(`run: input ${name} says ${shapeText(given.shape)} = ${elements} elements, ${has} ${length}`);
  }
  return given;
};
