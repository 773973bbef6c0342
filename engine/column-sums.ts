// Sums over rows that come with a gradient from the kernel that writes it: a bias gradient is such a sum, and whoever needs it need not read
// the gradient again.
import { numel, type Tensor } from './tensor.ts';

/**
 * Who wants such sums, and who has them. Both go by a tensor's value, which another shape shares and nothing else does: a sum of two gradients
 * is another value, and nobody takes it for one of them.
 */
export class ColumnSums {
  readonly #wanted = new Set<object>();
  readonly #known = new Map<object, Tensor>();

  /** Forward: the gradient of y (…, cols) will be summed over its rows. */
  want(y: Tensor): void {
    this.#wanted.add(y.value);
  }

  /** Forward: `copy` stands for x, and what is its gradient is that of x. */
  pass(x: Tensor, copy: Tensor): void {
    if (this.wanted(x)) this.want(copy);
  }

  /** Whether somebody wants the sums of x's gradient. */
  wanted(x: Tensor | null): boolean {
    return x !== null && this.#wanted.has(x.value);
  }

  /** Backward: `sums` (cols) are those of dx (…, cols). */
  keep(dx: Tensor, sums: Tensor): void {
    this.#known.set(dx.value, sums);
  }

  /** Those (cols) of dy (…, cols), if they are known. */
  of(dy: Tensor, cols: number): Tensor | null {
    const sums = this.#known.get(dy.value);
    return sums && numel(sums.shape) === cols ? sums.reshape(cols) : null;
  }
}
