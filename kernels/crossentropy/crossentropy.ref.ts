// Cross-entropy of rows, class by class.
type F = Float64Array;

export function targets(
  { labels, partner, lambda, targets: out }: { labels: Int32Array; partner: Int32Array; lambda: F; targets: F },
  { rows, classes, smoothing, MIX }: { rows: number; classes: number; smoothing: number; MIX: boolean },
): void {
  const off = smoothing / classes;
  const own = (label: number, k: number): number => (label === k ? 1 - smoothing + off : off);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < classes; k++) {
      const y = own(labels[row], k);
      const mixed = MIX ? lambda[0] * y + (1 - lambda[0]) * own(partner[row], k) : y;
      out[row * classes + k] = labels[row] < 0 ? 0 : mixed;
    }
  }
}

export function forward(
  { logits, targets: t, losses, lse, mass }: { logits: F; targets: F; losses: F; lse: F; mass: F },
  { rows, classes }: { rows: number; classes: number },
): void {
  for (let row = 0; row < rows; row++) {
    const z = logits.subarray(row * classes, (row + 1) * classes);
    const m = z.reduce((a, b) => Math.max(a, b));
    lse[row] = m + Math.log(z.reduce((sum, x) => sum + Math.exp(x - m), 0));
    losses[row] = 0;
    mass[row] = 0;
    for (let k = 0; k < classes; k++) {
      mass[row] += t[row * classes + k];
      losses[row] += t[row * classes + k] * (lse[row] - z[k]);
    }
  }
}

export function backward(
  { logits, targets: t, lse, mass, dloss, dlogits }: { logits: F; targets: F; lse: F; mass: F; dloss: F; dlogits: F },
  { rows, classes }: { rows: number; classes: number },
): void {
  for (let i = 0; i < rows * classes; i++) {
    const row = Math.floor(i / classes);
    dlogits[i] = ((mass[row] * Math.exp(logits[i] - lse[row]) - t[i]) * dloss[0]) / rows;
  }
}
