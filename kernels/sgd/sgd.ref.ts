// SGD with momentum, element by element.
import { ADAMW_BLOCK } from '../adamw/adamw.ts';

interface Arrays {
  p: Float64Array;
  g: Float64Array;
  mu: Float64Array;
  group: Uint32Array;
  groups: Float64Array;
  owner: Uint32Array;
  ratio: Float64Array;
  hyper: Float64Array;
}

export function update(
  { p, g, mu, group, groups, owner, ratio, hyper }: Arrays,
  { n, NESTEROV, RATIO }: { n: number; NESTEROV: boolean; RATIO: boolean },
): void {
  const [lr, momentum] = hyper;
  if (hyper[7] !== 0) return;
  for (let i = 0; i < n; i++) {
    const block = Math.floor(i / ADAMW_BLOCK);
    const row = 2 * group[block];
    let gi = g[i] * hyper[6] + groups[row] * p[i];
    if (RATIO) gi *= ratio[owner[block]];
    mu[i] = momentum * mu[i] + gi;
    p[i] -= lr * groups[row + 1] * (NESTEROV ? gi + momentum * mu[i] : mu[i]);
  }
}
