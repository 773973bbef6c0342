// One matrix product on a trace, split over k where that pays: what linear layers and their gradients record.
import { dense, EPILOGUES, gemm, gemmReduce, splitFor, TN } from '../../kernels/gemm/gemm.ts';
import type { DType, Tensor } from '../tensor.ts';
import type { Trace } from '../trace.ts';
import { cast } from './cast.ts';
import { columnSum } from './reduce.ts';

export interface Product {
  a: Tensor;
  b: Tensor;
  m: number;
  n: number;
  k: number;
  /** NN, NT or TN of kernels/gemm. */
  LAYOUT: number;
  EPILOGUE?: number;
  bias?: Tensor | null;
  /** Residual, or the saved pre-activation of the GELU whose backward this is: stored as c. */
  r?: Tensor | null;
  /** TN: sums of op(a) over k are wanted too. */
  dbias?: boolean;
  /** How c (and u) are stored; f32 unless said, and where n is not a multiple of 4. */
  dtype?: DType;
}

/** c (m, n); u is the pre-activation under EPILOGUES.biasGelu; dbias (m). Operands may be stored as f32 or f16. */
export function product(t: Trace, p: Product): { c: Tensor; u: Tensor; dbias: Tensor | null } {
  const { m, n, k, LAYOUT, EPILOGUE = EPILOGUES.none, bias = null } = p;
  // f16 is read and written 4 elements at a time; rows of other lengths are computed in f32.
  const whole = [LAYOUT === TN ? m : k, n, k].every((size) => size % 4 === 0);
  const wanted = p.dtype === 'f16' && n % 4 === 0 ? 'f16' : 'f32';
  const dtype = whole ? wanted : 'f32';
  const [a, b] = whole ? [p.a, p.b] : [cast(t, p.a, 'f32'), cast(t, p.b, 'f32')];
  const r = p.r ? cast(t, p.r, dtype) : null;
  const C16 = dtype === 'f16';
  const stored = { A16: a.dtype === 'f16', B16: b.dtype === 'f16' };
  const splits = splitFor({ m, n, k, batch: 1 }, t.traits);
  let result: { c: Tensor; u: Tensor };
  let dbias: Tensor | null = null;
  if (splits === 1) {
    const sizes = { ...dense({ m, n, k, LAYOUT }), LAYOUT, EPILOGUE, DBIAS: p.dbias === true };
    const ran = t.run(gemm, { a, b, bias, r }, { ...sizes, ...stored, C16 });
    dbias = ran.dbias ?? null;
    result = ran;
  } else {
    const sizes = { ...dense({ m, n, k, LAYOUT, splits }), LAYOUT };
    const { c: parts } = t.run(gemm, { a, b, bias: null, r: null }, { ...sizes, ...stored });
    result = t.run(gemmReduce, { parts, bias, r }, { splits, rows: m, n, EPILOGUE, C16 });
    if (p.dbias) dbias = columnSum(t, a, k, m);
  }
  if (dtype === wanted) return { ...result, dbias };
  return { c: cast(t, result.c, 'f16'), u: result.u && cast(t, result.u, 'f16'), dbias };
}
