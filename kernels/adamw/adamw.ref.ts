// AdamW in f64, as torch.optim.AdamW and torch.nn.utils.clip_grad_norm_ state it.

type Named<N extends string> = { [name in N]: Float64Array };

export function update({
  p,
  g,
  m,
  v,
  group,
  groups,
  hyper,
}: Named<'p' | 'g' | 'm' | 'v' | 'groups' | 'hyper'> & { group: Uint32Array }): void {
  const [lrBase, rest1, rest2, eps, bc1, bc2, multiplier, skip] = hyper;
  if (skip) return;
  for (let i = 0; i < p.length; i++) {
    const which = group[Math.floor(i / 64)];
    const lr = lrBase * groups[2 * which + 1];
    const grad = g[i] * multiplier;
    p[i] *= 1 - lr * groups[2 * which];
    m[i] = (1 - rest1) * m[i] + rest1 * grad;
    v[i] = (1 - rest2) * v[i] + rest2 * grad * grad;
    p[i] -= ((lr / bc1) * m[i]) / (Math.sqrt(v[i]) / Math.sqrt(bc2) + eps);
  }
}

export function tick(
  { step, hyper }: Named<'hyper'> & { step: Uint32Array },
  { lnBeta1, lnBeta2 }: { lnBeta1: number; lnBeta2: number },
): void {
  if (hyper[7]) return;
  step[0]++;
  hyper[4] = -Math.expm1(step[0] * lnBeta1);
  hyper[5] = -Math.expm1(step[0] * lnBeta2);
}

export function clip(
  { squares, hyper, norm }: Named<'squares' | 'hyper' | 'norm'>,
  { maxNorm, SCALED }: { maxNorm: number; SCALED: boolean },
): void {
  const unscale = SCALED ? hyper[6] : 1;
  norm[0] = Math.sqrt(squares.reduce((a, b) => a + b, 0)) * unscale;
  hyper[6] = unscale * Math.min(1, maxNorm / (norm[0] + 1e-6));
}
