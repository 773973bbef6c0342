// Whether a peer computed the same as we did; without that there is no ratio.
import { readFileSync } from 'node:fs';

/** How far f32 results may be apart, in units of the largest: sums of some thousand products in another order. */
const TOLERANCE = 1e-4;
/** Losses of the first steps: rounding is amplified by AdamW from step to step. */
const LOSS_TOLERANCE = 1e-3;

interface Agreement {
  /** Largest difference over the largest of our values; for losses the largest relative difference. */
  readonly error: number;
  readonly agrees: boolean;
}

const judge = (error: number, tolerance: number): Agreement => ({ error, agrees: error <= tolerance });

/** Two files of f32, little-endian, of one result; files of other lengths do not agree. */
export function compareResults(theirs: string, ours: string): Agreement {
  const [a, b] = [floats(theirs), floats(ours)];
  if (a.length !== b.length) return judge(Number.POSITIVE_INFINITY, TOLERANCE);
  let [worst, largest] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i] - b[i]);
    // Written so that NaN, too, is a disagreement.
    if (!(difference <= worst)) worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
    largest = Math.max(largest, Math.abs(b[i]));
  }
  return judge(largest > 0 ? worst / largest : Number.POSITIVE_INFINITY, TOLERANCE);
}

/** Losses step by step, as many as both have. */
export function compareLosses(theirs: readonly number[], ours: readonly number[]): Agreement {
  const count = Math.min(theirs.length, ours.length);
  let worst = count ? 0 : Number.POSITIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const error = Math.abs(theirs[i] - ours[i]) / Math.abs(ours[i]);
    if (!(error <= worst)) worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
  }
  return judge(worst, LOSS_TOLERANCE);
}

function floats(path: string): Float32Array {
  const bytes = readFileSync(path);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}
