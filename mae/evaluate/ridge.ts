// A linear classifier in closed form: ridge regression of one-hot labels on standardised features. For a quick look while pretraining; the
// number that papers give is the linear probe's (linprobe.ts).
import type { Labelled } from './knn.ts';
import { Tally } from './metrics.ts';

/** Weight of the penalty, as a part of the number of images. */
const PENALTY = 1e-3;

/** Top-1 in per cent of `queries`. In f64. */
export async function ridgeTop1(train: Labelled, queries: Labelled, dim: number, classes: number): Promise<number> {
  const { CholeskyDecomposition, Matrix } = await import('ml-matrix');
  const n = train.labels.length;
  const mean = new Float64Array(dim);
  for (let i = 0; i < train.x.length; i++) mean[i % dim] += train.x[i] / n;
  const scale = new Float64Array(dim);
  for (let i = 0; i < train.x.length; i++) scale[i % dim] += (train.x[i] - mean[i % dim]) ** 2 / n;
  for (let d = 0; d < dim; d++) scale[d] = scale[d] > 0 ? 1 / Math.sqrt(scale[d]) : 0;
  const gram = Matrix.zeros(dim, dim);
  const sums = Matrix.zeros(dim, classes);
  const counts = new Float64Array(classes);
  const row = new Float64Array(dim);
  const load = (x: Float32Array, i: number): void => {
    for (let d = 0; d < dim; d++) row[d] = (x[i * dim + d] - mean[d]) * scale[d];
  };
  for (let i = 0; i < n; i++) {
    load(train.x, i);
    for (let a = 0; a < dim; a++) for (let b = 0; b <= a; b++) gram.set(a, b, gram.get(a, b) + row[a] * row[b]);
    if (train.labels[i] < 0) continue;
    counts[train.labels[i]]++;
    for (let d = 0; d < dim; d++) sums.set(d, train.labels[i], sums.get(d, train.labels[i]) + row[d]);
  }
  for (let a = 0; a < dim; a++) {
    gram.set(a, a, gram.get(a, a) + PENALTY * n);
    for (let b = 0; b < a; b++) gram.set(b, a, gram.get(a, b));
  }
  const weights = new CholeskyDecomposition(gram).solve(sums);
  const tally = new Tally(classes);
  for (let i = 0; i < queries.labels.length; i++) {
    load(queries.x, i);
    const scores = Float64Array.from({ length: classes }, (_, k) => {
      let sum = counts[k] / n;
      for (let d = 0; d < dim; d++) sum += row[d] * weights.get(d, k);
      return sum;
    });
    tally.add(scores, [queries.labels[i]]);
  }
  return tally.metrics.top1;
}
