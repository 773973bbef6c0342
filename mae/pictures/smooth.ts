// The moving average that stands above the losses of single steps, in pictures and pages.

/**
 * Over a twenty-fifth of the points, centred; narrower at the beginning, so that it follows the first fall. At the end, where there is no other
 * side, the straight line through as many points: a last step of a few images, or a wild one, does not bend it. A straight line stays as it is.
 */
export function smooth(y: readonly number[]): number[] {
  const half = Math.max(1, Math.floor(y.length / 50));
  const sums = new Float64Array(y.length + 1);
  for (let i = 0; i < y.length; i++) sums[i + 1] = sums[i] + y[i];
  const width = Math.min(2 * half + 1, y.length);
  const line = lineThrough(y.slice(y.length - width));
  return y.map((_, i) => {
    if (i > half && i + half >= y.length) return line(i - (y.length - width));
    const reach = Math.min(half, i, y.length - 1 - i);
    return (sums[i + reach + 1] - sums[i - reach]) / (2 * reach + 1);
  });
}

/** Least squares; takes an index of `y`. */
function lineThrough(y: readonly number[]): (i: number) => number {
  const centre = (y.length - 1) / 2;
  const mean = y.reduce((a, b) => a + b, 0) / y.length;
  const spread = y.reduce((sum, _, i) => sum + (i - centre) ** 2, 0);
  const slope = spread ? y.reduce((sum, value, i) => sum + (i - centre) * (value - mean), 0) / spread : 0;
  return (i) => mean + slope * (i - centre);
}
