// The dynamic loss scale in plain loops.

export function check(
  { g, flags }: { g: Uint32Array; flags: Uint32Array },
  { n, groups }: { n: number; groups: number },
): void {
  const values = new Float32Array(g.buffer, g.byteOffset, n);
  const chunk = 4 * Math.ceil(n / groups / 4); // whole vectors of 4
  for (let i = 0; i < n; i++) if (!Number.isFinite(values[i])) flags[Math.floor(i / chunk)] = 1;
}

interface State {
  flags: Uint32Array;
  scale: Float64Array;
  good: Uint32Array;
  skipped: Uint32Array;
  hyper: Float64Array;
}

export function update({ flags, scale, good, skipped, hyper }: State, { interval }: { interval: number }): void {
  const overflow = flags.some((flag) => flag !== 0);
  hyper[6] = 1 / scale[0];
  hyper[7] = Number(overflow);
  good[0]++;
  if (overflow) {
    scale[0] = Math.max(1, scale[0] / 2);
    good[0] = 0;
    skipped[0]++;
  } else if (good[0] >= interval) {
    scale[0] = Math.min(2 ** 24, 2 * scale[0]);
    good[0] = 0;
  }
}
