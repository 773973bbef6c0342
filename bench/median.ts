// The middle of measured values.
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Median of samples, and how far to trust it: slowest over fastest, less 1. */
export const summed = (samples: readonly number[]): { ms: number; spread: number } => ({
  ms: median(samples),
  spread: Math.max(...samples) / Math.min(...samples) - 1,
});
