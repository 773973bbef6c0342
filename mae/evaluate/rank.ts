// Effective rank of features: exp of the entropy of their normalised singular values (Roy & Vetterli 2007; RankMe, Garrido et al. 2023).
// 1 where all lie on a line, the width where they fill it evenly: a collapse shows before any label is needed.

/** Of x (count, dim), centred. In f64; its singular values come from the covariance's eigenvalues. */
export async function effectiveRank(x: Float32Array, dim: number): Promise<number> {
  const { EigenvalueDecomposition, Matrix } = await import('ml-matrix');
  const count = x.length / dim;
  const mean = new Float64Array(dim);
  for (let i = 0; i < x.length; i++) mean[i % dim] += x[i] / count;
  const covariance = Array.from({ length: dim }, () => new Float64Array(dim));
  const row = new Float64Array(dim);
  for (let r = 0; r < count; r++) {
    for (let k = 0; k < dim; k++) row[k] = x[r * dim + k] - mean[k];
    for (let i = 0; i < dim; i++) {
      const [own, line] = [row[i], covariance[i]];
      for (let j = i; j < dim; j++) line[j] += own * row[j];
    }
  }
  for (let i = 0; i < dim; i++) for (let j = 0; j < i; j++) covariance[i][j] = covariance[j][i];
  const { realEigenvalues } = new EigenvalueDecomposition(new Matrix(covariance), { assumeSymmetric: true });
  return rankOf(realEigenvalues.map((value) => Math.sqrt(Math.max(0, value))));
}

/** exp(-sum p log p), p the values over their sum; 0 where all are 0. */
export function rankOf(singular: readonly number[]): number {
  const sum = singular.reduce((a, b) => a + b, 0);
  if (sum === 0) return 0;
  return Math.exp(-singular.reduce((h, value) => h + (value > 0 ? (value / sum) * Math.log(value / sum) : 0), 0));
}
