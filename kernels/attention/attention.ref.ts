// Attention with plain loops in f64, the oracle of attention.forward, .delta, .backward and .probabilities.

export interface Sizes {
  batch: number;
  tokens: number;
  heads: number;
  dim: number;
  scale: number;
}

const Q = 0;
const K = 1;
const V = 2;

/** Calls f for every head of every image with the places of its numbers. */
function eachHead(
  { batch, tokens, heads, dim }: Sizes,
  f: (
    qkvAt: (token: number, which: number) => number,
    oAt: (token: number) => number,
    rowAt: (token: number) => number,
  ) => void,
): void {
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      f(
        (token, which) => (((b * tokens + token) * 3 + which) * heads + h) * dim,
        (token) => ((b * tokens + token) * heads + h) * dim,
        (token) => (b * heads + h) * tokens + token,
      );
    }
  }
}

function dot(a: Float64Array, i: number, b: Float64Array, j: number, n: number): number {
  let sum = 0;
  for (let d = 0; d < n; d++) sum += a[i + d] * b[j + d];
  return sum;
}

/** o = softmax(scale q k^T) v, and lse = log(sum(exp(scale q k^T))) a row. */
export function forward(arrays: { qkv: Float64Array; o: Float64Array; lse: Float64Array }, sizes: Sizes): void {
  const { qkv, o, lse } = arrays;
  const { tokens, dim, scale } = sizes;
  eachHead(sizes, (qkvAt, oAt, rowAt) => {
    for (let i = 0; i < tokens; i++) {
      const scores = Array.from({ length: tokens }, (_, j) => scale * dot(qkv, qkvAt(i, Q), qkv, qkvAt(j, K), dim));
      const top = Math.max(...scores);
      const sum = scores.reduce((total, s) => total + Math.exp(s - top), 0);
      lse[rowAt(i)] = top + Math.log(sum);
      for (let d = 0; d < dim; d++) {
        let value = 0;
        for (let j = 0; j < tokens; j++) value += (Math.exp(scores[j] - top) / sum) * qkv[qkvAt(j, V) + d];
        o[oAt(i) + d] = value;
      }
    }
  });
}

/** delta = sum(dO * o) a row. */
export function delta(arrays: { o: Float64Array; dO: Float64Array; delta: Float64Array }, sizes: Sizes): void {
  eachHead(sizes, (_, oAt, rowAt) => {
    for (let i = 0; i < sizes.tokens; i++) arrays.delta[rowAt(i)] = dot(arrays.o, oAt(i), arrays.dO, oAt(i), sizes.dim);
  });
}

interface Backward {
  qkv: Float64Array;
  dO: Float64Array;
  lse: Float64Array;
  delta: Float64Array;
  dqkv: Float64Array;
}

/** With P = exp(S - lse) and dS = P * (dO v^T - delta): dq = scale dS k, dk = scale dS^T q, dv = P^T dO. */
export function backward({ qkv, dO, lse, delta, dqkv }: Backward, sizes: Sizes): void {
  const { tokens, dim, scale } = sizes;
  dqkv.fill(0);
  eachHead(sizes, (qkvAt, oAt, rowAt) => {
    for (let i = 0; i < tokens; i++) {
      for (let j = 0; j < tokens; j++) {
        const p = Math.exp(scale * dot(qkv, qkvAt(i, Q), qkv, qkvAt(j, K), dim) - lse[rowAt(i)]);
        const ds = p * (dot(dO, oAt(i), qkv, qkvAt(j, V), dim) - delta[rowAt(i)]);
        for (let d = 0; d < dim; d++) {
          dqkv[qkvAt(i, Q) + d] += scale * ds * qkv[qkvAt(j, K) + d];
          dqkv[qkvAt(j, K) + d] += scale * ds * qkv[qkvAt(i, Q) + d];
          dqkv[qkvAt(j, V) + d] += p * dO[oAt(i) + d];
        }
      }
    }
  });
}

/** Mean over heads of what the first token attends to, of every other token. */
export function saliency(
  arrays: { qkv: Float64Array; lse: Float64Array; saliency: Float64Array },
  { batch, tokens, heads, dim, scale }: Sizes,
): void {
  const { qkv, lse } = arrays;
  arrays.saliency.fill(0);
  let row = 0;
  eachHead({ batch, tokens, heads, dim, scale }, (qkvAt, _, rowAt) => {
    const image = Math.floor(row++ / heads);
    for (let j = 1; j < tokens; j++) {
      const score = scale * dot(qkv, qkvAt(0, Q), qkv, qkvAt(j, K), dim);
      arrays.saliency[image * (tokens - 1) + j - 1] += Math.exp(score - lse[rowAt(0)]) / heads;
    }
  });
}

/** exp(scale q k^T - lse) for the rows of q from `first` on. */
export function probabilities(
  arrays: { qkv: Float64Array; lse: Float64Array; probabilities: Float64Array },
  sizes: Sizes & { first: number; rows: number },
): void {
  const { qkv, lse } = arrays;
  const { tokens, dim, scale, first, rows } = sizes;
  let at = 0;
  eachHead(sizes, (qkvAt, _, rowAt) => {
    for (let i = first; i < first + rows; i++) {
      for (let j = 0; j < tokens; j++, at++)
        arrays.probabilities[at] = Math.exp(scale * dot(qkv, qkvAt(i, Q), qkv, qkvAt(j, K), dim) - lse[rowAt(i)]);
    }
  });
}
