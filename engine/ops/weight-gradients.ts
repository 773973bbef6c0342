// What a linear layer's weight and bias get of dy: one product, which sums the bias gradient on its way or, where that is dearer, finishes it.
import { sumsApart, TN } from '../../kernels/gemm/gemm.ts';
import type { Tensor } from '../tensor.ts';
import type { Trace } from '../trace.ts';
import { product } from './product.ts';
import { columnParts, columnSum } from './reduce.ts';

/**
 * Gradients of y = x w^T + b, as far as they are wanted: dw, as w (out, k), and db (out) from dy (rows, out) and x
 * (rows, k).
 */
export function weightGradients(
  t: Trace,
  { dy, x, w, rows, out, k }: { dy: Tensor; x: Tensor; w: Tensor; rows: number; out: number; k: number },
  needs: { w: boolean; b: boolean },
): { dw: Tensor | null; db: Tensor | null } {
  const known = needs.b ? t.columnSums.of(dy, out) : null;
  if (!needs.w) return { dw: null, db: needs.b ? (known ?? columnSum(t, dy, rows, out)) : null };
  const wanted = needs.b && !known;
  const dbiasParts = wanted && sumsApart({ m: out, k: rows }, t.traits) ? columnParts(t, dy, rows, out) : null;
  const { c, dbias } = product(t, { a: dy, b: x, m: out, n: k, k: rows, LAYOUT: TN, dbias: wanted, dbiasParts });
  return { dw: c.reshape(...w.shape), db: known ?? dbias };
}

/** Forward: whoever writes the gradient of y (rows, out) = x w^T + b should sum it on its way, where the product of dw would not. */
export function wantColumnSums(t: Trace, y: Tensor, rows: number, out: number): void {
  if (sumsApart({ m: out, k: rows }, t.traits)) t.columnSums.want(y);
}
