// Numbers as colours: a heat scale from black over purple and orange to pale yellow, which also orders by brightness.
import type { Colour } from './picture.ts';

/** Nine evenly spaced colours of matplotlib's inferno (van der Walt and Smith, CC0). */
const STOPS: readonly Colour[] = [
  [0, 0, 4],
  [31, 12, 72],
  [85, 15, 109],
  [136, 34, 106],
  [186, 54, 85],
  [227, 89, 51],
  [249, 140, 10],
  [249, 201, 50],
  [252, 255, 164],
];

/** The colour of a number in [0, 1]; what lies outside has that of the nearer end. */
export function heat(value: number): Colour {
  const place = Math.min(1, Math.max(0, value)) * (STOPS.length - 1);
  const from = Math.min(STOPS.length - 2, Math.floor(place));
  const part = place - from;
  const mix = (c: number): number => Math.round(STOPS[from][c] + part * (STOPS[from + 1][c] - STOPS[from][c]));
  return [mix(0), mix(1), mix(2)];
}
