// Plain matrix product in f64, the oracle of gemm and gemm.reduce.
import { dgelu, gelu } from '../lib/erf.ts';
import type { GemmProblem } from './gemm.ts';

interface Epilogue {
  bias: Float64Array;
  r: Float64Array;
  c: Float64Array;
  u: Float64Array;
}

function finish({ bias, r, c, u }: Epilogue, EPILOGUE: number, at: number, col: number, sum: number): void {
  if (EPILOGUE === 0) c[at] = sum;
  if (EPILOGUE === 1) c[at] = sum + bias[col];
  if (EPILOGUE === 2) {
    c[at] = gelu(sum + bias[col]);
    u[at] = dgelu(sum + bias[col]);
  }
  if (EPILOGUE === 3) c[at] = sum + bias[col] + r[at];
  if (EPILOGUE === 4) c[at] = sum * r[at];
}

export function gemm(
  arrays: Epilogue & { a: Float64Array; b: Float64Array; dbias: Float64Array },
  p: GemmProblem & { LAYOUT: number; EPILOGUE: number; DBIAS: boolean },
): void {
  const { a, b } = arrays;
  const chunk = Math.ceil(Math.ceil(p.k / p.splits) / 16) * 16;
  for (let split = 0; split < p.splits; split++) {
    for (let i = 0; p.DBIAS && i < p.m; i++)
      for (let k = split * chunk; k < Math.min(p.k, (split + 1) * chunk); k++)
        arrays.dbias[split * p.m + i] += a[p.offsetA + k * p.lda + i];
    for (let z = 0; z < p.batch; z++) {
      const outer = Math.floor(z / p.inner);
      const inner = z % p.inner;
      const atA = p.offsetA + outer * p.strideA + inner * p.innerA;
      const atB = p.offsetB + outer * p.strideB + inner * p.innerB;
      const atC = p.offsetC + outer * p.strideC + inner * p.innerC + split * p.splitC;
      for (let i = 0; i < p.m; i++) {
        for (let j = 0; j < p.n; j++) {
          let sum = 0;
          for (let k = split * chunk; k < Math.min(p.k, (split + 1) * chunk); k++) {
            const x = p.LAYOUT === 2 ? a[atA + k * p.lda + i] : a[atA + i * p.lda + k];
            const y = p.LAYOUT === 1 ? b[atB + j * p.ldb + k] : b[atB + k * p.ldb + j];
            sum += x * y;
          }
          finish(arrays, p.EPILOGUE, atC + i * p.ldc + j, j, sum);
        }
      }
    }
  }
}

export function reduce(
  arrays: Epilogue & { parts: Float64Array; dbiasParts: Float64Array; dbias: Float64Array },
  p: { splits: number; rows: number; n: number; groups: number; EPILOGUE: number; DBIAS: boolean },
): void {
  const { splits, rows, n, groups, EPILOGUE, DBIAS } = p;
  for (let at = 0; at < rows * n; at++) {
    let sum = 0;
    for (let s = 0; s < splits; s++) sum += arrays.parts[s * rows * n + at];
    finish(arrays, EPILOGUE, at, at % n, sum);
  }
  for (let at = 0; DBIAS && at < groups * rows; at++) arrays.dbias[at % rows] += arrays.dbiasParts[at];
}

/** Two sums over splits, and with DBIAS and DBIAS2 those of their dbias. */
export function finishTwo(
  a: Record<'parts' | 'parts2' | 'dbiasParts' | 'dbiasParts2' | 'c' | 'c2' | 'dbias' | 'dbias2', Float64Array>,
  p: Record<'splits' | 'rows' | 'n' | 'groups' | 'splits2' | 'rows2' | 'n2' | 'groups2', number> & {
    DBIAS: boolean;
    DBIAS2: boolean;
  },
): void {
  const sum = (parts: Float64Array, out: Float64Array, size: number, splits: number): void => {
    for (let at = 0; at < size; at++) {
      out[at] = 0;
      for (let s = 0; s < splits; s++) out[at] += parts[s * size + at];
    }
  };
  sum(a.parts, a.c, p.rows * p.n, p.splits);
  sum(a.parts2, a.c2, p.rows2 * p.n2, p.splits2);
  if (p.DBIAS) sum(a.dbiasParts, a.dbias, p.rows, p.groups);
  if (p.DBIAS2) sum(a.dbiasParts2, a.dbias2, p.rows2, p.groups2);
}
