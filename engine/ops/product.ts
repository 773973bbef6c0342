// One matrix product on a trace, split over k where that pays: what linear layers and their gradients record.
import { dense, EPILOGUES, gemm, gemmReduce, inQuads, splitFor } from '../../kernels/gemm/gemm.ts';
import type { DType, Tensor } from '../tensor.ts';
import type { Trace } from '../trace.ts';
import { cast } from './cast.ts';
import { sumInto } from './reduce.ts';

interface Product {
  a: Tensor;
  b: Tensor;
  m: number;
  n: number;
  k: number;
  /** NN, NT or TN of kernels/gemm. */
  LAYOUT: number;
  EPILOGUE?: number;
  bias?: Tensor | null;
  /** Residual, or under EPILOGUES.times a factor: stored as c. */
  r?: Tensor | null;
  /** TN: sums of op(a) over k are wanted too. */
  dbias?: boolean;
  /** (groups, m): partial sums of op(a) that were taken apart. The product then only finishes them, where it is split. */
  dbiasParts?: Tensor | null;
  /** How c (and u) are stored; f32 unless said, and where n is not a multiple of 4. */
  dtype?: DType;
}

/** c (m, n); u is the GELU's slope under EPILOGUES.biasGelu; dbias (m). Operands may be stored as f32 or f16. */
export function product(t: Trace, p: Product): { c: Tensor; u: Tensor; dbias: Tensor | null } {
  const { m, n, k, LAYOUT, EPILOGUE = EPILOGUES.none, bias = null } = p;
  const splits = splitFor({ m, n, k, batch: 1, LAYOUT }, t.traits);
  const sizes = { ...dense({ m, n, k, LAYOUT, splits }), LAYOUT, DBIAS: p.dbias === true && !p.dbiasParts };
  // f16 is read and written 4 elements at a time; rows of other lengths are computed in f32.
  const whole = inQuads(sizes);
  const wanted = p.dtype === 'f16' && n % 4 === 0 ? 'f16' : 'f32';
  const dtype = whole ? wanted : 'f32';
  const [a, b] = whole ? [p.a, p.b] : [cast(t, p.a, 'f32'), cast(t, p.b, 'f32')];
  const r = p.r ? cast(t, p.r, dtype) : null;
  const C16 = dtype === 'f16';
  const stored = { A16: a.dtype === 'f16', B16: b.dtype === 'f16' };
  let result: { c: Tensor; u: Tensor; dbias: Tensor };
  if (splits === 1) {
    result = t.run(gemm, { a, b, bias, r }, { ...sizes, ...stored, EPILOGUE, C16 });
  } else {
    const { c: parts, dbias: own } = t.run(gemm, { a, b, bias: null, r: null }, { ...sizes, ...stored });
    const dbiasParts = p.dbiasParts ?? own;
    const groups = dbiasParts?.shape[0] ?? 0;
    const finish = { splits, rows: m, n, groups, EPILOGUE, DBIAS: groups > 0, C16 };
    result = t.run(gemmReduce, { parts, bias, r, dbiasParts }, finish);
  }
  const { c, u } = result;
  const apart = splits === 1 && p.dbiasParts;
  const dbias = (apart ? sumInto(t, apart, apart.shape[0], m, 1) : result.dbias)?.reshape(m) ?? null;
  if (dtype === wanted) return { c, u, dbias };
  return { c: cast(t, c, 'f16'), u: u && cast(t, u, 'f16'), dbias };
}
