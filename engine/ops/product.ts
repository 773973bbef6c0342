// One matrix product on a trace, split over k where that pays: what linear layers and their gradients record.
import { dense, EPILOGUES, gemm, gemmReduce } from '../../kernels/gemm/gemm.ts';
import { splitFor } from '../../kernels/gemm/gemm.ts';
import type { Tensor } from '../tensor.ts';
import type { Trace } from '../trace.ts';

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
  /** Residual, or the saved pre-activation of the GELU whose backward this is. */
  r?: Tensor | null;
}

/** c (m, n); u is the pre-activation under EPILOGUES.biasGelu. */
export function product(t: Trace, p: Product): { c: Tensor; u: Tensor } {
  const { a, b, m, n, k, LAYOUT, EPILOGUE = EPILOGUES.none, bias = null, r = null } = p;
  const splits = splitFor({ m, n, k, batch: 1 }, t.traits);
  if (splits === 1) return t.run(gemm, { a, b, bias, r }, { ...dense({ m, n, k, LAYOUT }), LAYOUT, EPILOGUE });
  const { c: parts } = t.run(gemm, { a, b, bias: null, r: null }, { ...dense({ m, n, k, LAYOUT, splits }), LAYOUT });
  return t.run(gemmReduce, { parts, bias, r }, { splits, rows: m, n, EPILOGUE });
}
