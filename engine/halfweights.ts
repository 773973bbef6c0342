// What products with f16 operands read of weights: f16 copies, all of a slab by one dispatch, the first time that a trace asks.
import { elementwiseCast } from '../kernels/elementwise/elementwise.ts';
import type { AnyKernel } from '../kernels/kernel.ts';
import { numel, type Slab, Storage, Tensor } from './tensor.ts';
import type { Call } from './trace.ts';

/** The copies that one trace has asked for. */
export class HalfWeights {
  readonly #copied = new Set<Slab>();

  /**
   * The f16 copy of x (out, …), or x itself where it is no f32 variable or one of its sizes, or its slab's, is no multiple of 4: products of
   * those are computed in f32. `record` is given the call that copies a slab.
   */
  of(x: Tensor, record: (call: Call) => void): Tensor {
    const { home } = x.storage;
    if (x.dtype !== 'f32' || home?.kind !== 'slab' || home.slab.length % 4) return x;
    if (x.shape[0] % 4 || (numel(x.shape) / x.shape[0]) % 4) return x;
    const { slab, offset } = home;
    const range = (of: Slab, at: number, length: number): Tensor =>
      new Tensor(x.trace, new Storage(of.dtype, length, { kind: 'slab', slab: of, offset: at }), [length]);
    if (!this.#copied.has(slab)) {
      this.#copied.add(slab);
      const bindings = { x: range(slab, 0, slab.length), y: range(slab.half, 0, slab.length) };
      const problem = { n: slab.length, X16: false, Y16: true };
      const kernel = elementwiseCast as unknown as AnyKernel;
      record({ kernel, problem, bindings, writes: ['y'], again: false });
    }
    return range(slab.half, offset, numel(x.shape)).reshape(...x.shape);
  }
}
