// The numbers that describe one product: sizes, strides and offsets, in elements.

/** Memory layouts of the operands. */
export const NN = 0;
/** LAYOUT: C = A B^T. */
export const NT = 1;
/** LAYOUT: C = A^T B. */
export const TN = 2;

/** What happens to a finished sum. */
export const EPILOGUES = { none: 0, bias: 1, biasGelu: 2, biasResidual: 3, times: 4 } as const;

/**
 * Batch entry z = outer * inner + i reads A at offsetA + outer * strideA + i * innerA, and so for B and C (r and u lie
 * as C): two strides, so that heads inside a fused (batch, length, 3, heads, dim) can be addressed. Rows are lda, ldb,
 * ldc apart. Split s of `splits` sums its part of k and writes at s * splitC (dbias: s * m).
 */
export interface GemmProblem {
  m: number;
  n: number;
  k: number;
  batch: number;
  lda: number;
  ldb: number;
  ldc: number;
  strideA: number;
  strideB: number;
  strideC: number;
  inner: number;
  innerA: number;
  innerB: number;
  innerC: number;
  offsetA: number;
  offsetB: number;
  offsetC: number;
  splits: number;
  splitC: number;
}

interface Sizes {
  m: number;
  n: number;
  k: number;
  batch?: number;
  splits?: number;
  /** Operand layout: NN, NT (B is (n, k)) or TN (A is (k, m)). */
  LAYOUT?: number;
}

/** Every parameter of a product of dense row-major matrices: A (batch, m, k), B (batch, k, n), C (batch, m, n). */
export function dense({ m, n, k, batch = 1, splits = 1, LAYOUT = NN }: Sizes): GemmProblem {
  return {
    m,
    n,
    k,
    batch,
    lda: LAYOUT === TN ? m : k,
    ldb: LAYOUT === NT ? k : n,
    ldc: n,
    strideA: m * k,
    strideB: k * n,
    strideC: m * n,
    inner: 1,
    innerA: 0,
    innerB: 0,
    innerC: 0,
    offsetA: 0,
    offsetB: 0,
    offsetC: 0,
    splits,
    splitC: batch * m * n,
  };
}

/** One past the last element that an operand of rows x cols, ld apart, reaches. */
export function extent(p: GemmProblem, operand: 'A' | 'B' | 'C', rows: number, cols: number): number {
  const ld = { A: p.lda, B: p.ldb, C: p.ldc }[operand];
  const outer = (Math.ceil(p.batch / p.inner) - 1) * p[`stride${operand}`];
  const inner = (Math.min(p.batch, p.inner) - 1) * p[`inner${operand}`];
  const split = operand === 'C' ? (p.splits - 1) * p.splitC : 0;
  return p[`offset${operand}`] + outer + inner + split + (rows - 1) * ld + cols;
}

/** Whether operands can be read, and C written, 4 elements at a time: f16 is stored only so. */
export const inQuads = (p: GemmProblem & { LAYOUT: number }): boolean => inMultiples(p, 4);

/** And 8 at a time, as loads of f16 are fastest. */
export const inEights = (p: GemmProblem & { LAYOUT: number }): boolean => inMultiples(p, 8);

function inMultiples(p: GemmProblem & { LAYOUT: number }, of: number): boolean {
  const contiguous = [p.n, p.LAYOUT === TN ? p.m : p.k];
  const apart = [p.lda, p.ldb, p.ldc, p.strideA, p.strideB, p.strideC, p.innerA, p.innerB, p.innerC, p.splitC];
  return [...contiguous, ...apart, p.offsetA, p.offsetB, p.offsetC].every((x) => x % of === 0);
}
