// How the nth of many lines is drawn: in one of six hues that people with colour blindness tell apart, and after these in dashes.

export interface Stroke {
  /** Of theme.css. */
  readonly colour: string;
  /** Lengths of line and gap in turn, in pixels; none of a whole line. */
  readonly dash: readonly number[];
}

const HUES = 6;
const DASHES: readonly (readonly number[])[] = [[], [9, 4], [2, 3], [12, 3, 2, 3]];

/** Of the dashes of line `n`, from 0. */
export const dashOf = (n: number): readonly number[] => DASHES[Math.floor(n / HUES) % DASHES.length];

/** @param n from 0; 24 look different */
export const strokeOf = (n: number): Stroke => ({ colour: `var(--series-${(n % HUES) + 1})`, dash: dashOf(n) });

/** For legends, as properties of CSS: the colour, and a background that is a piece of the line. */
export function strokeStyle({ colour, dash }: Stroke): string {
  let at = 0;
  const stops = dash.map((length, i) => `${i % 2 ? 'transparent' : colour} ${at}px ${(at += length)}px`);
  const stroke = dash.length ? `repeating-linear-gradient(90deg,${stops.join(',')})` : colour;
  return `--colour:${colour};--stroke:${stroke}`;
}
