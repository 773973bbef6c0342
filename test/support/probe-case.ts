// The linear probe of a conformance case in plain f64 loops: torch's BatchNorm1d(affine=False) and Linear, five full-batch steps of LARS.

interface ProbeHost {
  /** (n, dim) */
  readonly feature: Float64Array;
  readonly labels: readonly number[];
  /** (classes, dim) and (classes) */
  readonly weight0: ArrayLike<number>;
  readonly bias0: ArrayLike<number>;
}

export const LARS = { lr: 0.8, momentum: 0.9, trust: 0.01, wd: 0.1, steps: 5, classes: 3 } as const;
const [EPS, RUNNING] = [1e-6, 0.1];

const total = (x: ArrayLike<number>): number => Array.from(x).reduce((a, b) => a + b, 0);
const norm = (x: ArrayLike<number>): number => Math.hypot(...Array.from(x));

/** What is left after the last step, and the loss before every one. */
export function probeOnHost({ feature, labels, weight0, bias0 }: ProbeHost) {
  const n = labels.length;
  const dim = feature.length / n;
  const { classes } = LARS;
  const columns = Array.from({ length: dim }, (_, d) => feature.filter((_x, i) => i % dim === d));
  const means = columns.map((column) => total(column) / n);
  const squares = columns.map((column, d) => total(column.map((x) => (x - means[d]) ** 2)));
  const normed = (mean: readonly number[], variance: readonly number[]) =>
    feature.map((x, i) => (x - mean[i % dim]) / Math.sqrt(variance[i % dim] + EPS));
  // The features are frozen: every step sees the same batch statistics.
  const left = (1 - RUNNING) ** LARS.steps;
  const running_mean = means.map((mean) => (1 - left) * mean);
  const running_var = squares.map((sum) => left + ((1 - left) * sum) / (n - 1));

  const head = [Float64Array.from(weight0), Float64Array.from(bias0)];
  const momenta = head.map((p) => new Float64Array(p.length));
  const logitsOf = (y: Float64Array) =>
    labels.map((_, row) =>
      Array.from({ length: classes }, (_k, k) => {
        const products = Array.from({ length: dim }, (_d, d) => y[row * dim + d] * head[0][k * dim + d]);
        return head[1][k] + total(products);
      }),
    );
  const y = normed(
    means,
    squares.map((sum) => sum / n),
  );
  const loss: number[] = [];
  for (let step = 0; step < LARS.steps; step++) {
    const grads = head.map((p) => new Float64Array(p.length));
    const losses = logitsOf(y).map((z, row) => {
      const sum = total(z.map(Math.exp));
      for (let k = 0; k < classes; k++) {
        const dz = (Math.exp(z[k]) / sum - Number(k === labels[row])) / n;
        grads[1][k] += dz;
        for (let d = 0; d < dim; d++) grads[0][k * dim + d] += dz * y[row * dim + d];
      }
      return Math.log(sum) - z[labels[row]];
    });
    loss.push(total(losses) / n);
    for (const [i, p] of head.entries()) {
      // Decay and ratio are for matrices alone.
      const decayed = i === 0 ? grads[i].map((g, j) => g + LARS.wd * p[j]) : grads[i];
      const ratio = i === 0 ? (LARS.trust * norm(p)) / norm(decayed) : 1;
      for (let j = 0; j < p.length; j++) {
        momenta[i][j] = LARS.momentum * momenta[i][j] + ratio * decayed[j];
        p[j] -= LARS.lr * momenta[i][j];
      }
    }
  }
  const logits_eval = logitsOf(normed(running_mean, running_var)).flat();
  return { loss, weight: head[0], bias: head[1], running_mean, running_var, logits_eval };
}
