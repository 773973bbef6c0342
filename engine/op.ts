// An op: kernels run forward, and how its gradient is recorded. A forgotten gradient does not type-check.
import { fail } from './errors.ts';
import { Tensor, type TensorLike } from './tensor.ts';
import type { Trace } from './trace.ts';

type Inputs = Record<string, Tensor | null>;
type Like<I> = { [N in keyof I]: null extends I[N] ? TensorLike | null : TensorLike };
type IsUnion<T, U = T> = T extends unknown ? ([U] extends [T] ? false : true) : never;
/** Gradients of the outputs; null for one that nothing used (never so where there is only one). */
type Douts<O> = IsUnion<keyof O> extends true ? { [N in keyof O]: Tensor | null } : { [N in keyof O]: Tensor };

/** What an op is: how it runs forward, and what it gives back for gradients of its outputs. */
export interface OpSpec<I extends Inputs, A, O extends Record<string, Tensor>, S> {
  forward(t: Trace, inputs: I, attributes: A): { out: O; saved: S };
  /** One entry for every input; null says that there is no gradient. `needs` tells which are wanted. */
  backward(t: Trace, douts: Douts<O>, saved: S, needs: { [N in keyof I]: boolean }): { [N in keyof I]: Tensor | null };
}

/** An op as it is called: tensors or variables by name, then attributes; gives its outputs by name. */
export type Op<I, A, O> = (inputs: Like<I>, attributes: A) => O;

/**
 * Makes an op of kernels and their gradient. Inputs may be variables as long as one is a tensor, which tells the
 * trace.
 */
export function defineOp<I extends Inputs, A, O extends Record<string, Tensor>, S>(
  name: string,
  spec: OpSpec<I, A, O, S>,
): Op<I, A, O> {
  return (likes, attributes) => {
    const given = Object.entries(likes) as [string, TensorLike | null][];
    const trace = given.map(([, like]) => like).find((like) => like instanceof Tensor)?.trace;
    if (!trace) fail(`${name}: at least one input must be a tensor of a trace (use trace.use(variable))`);
    const inputs = Object.fromEntries(given.map(([k, like]) => [k, like && trace.use(like)])) as I;
    const { out, saved } = spec.forward(trace, inputs, attributes);
    trace.record({
      name,
      inputs,
      outputs: out,
      pullback: (douts, needs) => spec.backward(trace, douts as Douts<O>, saved, needs as { [N in keyof I]: boolean }),
    });
    return out;
  };
}
