// Points of a curve that still grows: cheap to add to, bounded in memory.

interface Points {
  readonly x: readonly number[];
  readonly y: readonly number[];
}

/** What a series holds. */
export interface SeriesData extends Points {
  /** Values that a point stands for. */
  readonly each: number;
  /** The last value that was added, with its x, as it was given. */
  readonly last: { readonly x: number; readonly y: number } | null;
}

/** Points that a reader can tell apart, twice. */
const MOST = 4000;

/** A curve's points in the order of x. Beyond MOST, neighbours become their mean: from then on a point stands for 2, 4, 8 ... of them. */
export class Series implements SeriesData {
  readonly x: number[] = [];
  readonly y: number[] = [];
  each = 1;
  last: { readonly x: number; readonly y: number } | null = null;
  #waiting: { x: number; y: number; count: number } = { x: 0, y: 0, count: 0 };

  /** What is not finite is left out. */
  append(x: number, y: number): void {
    this.last = { x, y };
    if (!Number.isFinite(y)) return;
    const waiting = this.#waiting;
    waiting.x += x;
    waiting.y += y;
    if (++waiting.count < this.each) return;
    this.x.push(waiting.x / waiting.count);
    this.y.push(waiting.y / waiting.count);
    this.#waiting = { x: 0, y: 0, count: 0 };
    if (this.x.length > MOST) this.#halve();
  }

  /** What another series held. */
  take({ x, y, each, last }: SeriesData): void {
    this.clear();
    for (const value of x) this.x.push(value);
    for (const value of y) this.y.push(value);
    this.each = each;
    this.last = last;
  }

  clear(): void {
    this.x.length = this.y.length = 0;
    this.each = 1;
    this.last = null;
    this.#waiting = { x: 0, y: 0, count: 0 };
  }

  #halve(): void {
    const half = this.x.length >> 1;
    const odd = this.x.length % 2 ? { x: this.x[2 * half], y: this.y[2 * half] } : null;
    for (const values of [this.x, this.y]) {
      for (let i = 0; i < half; i++) values[i] = (values[2 * i] + values[2 * i + 1]) / 2;
      values.length = half;
    }
    const before = this.each;
    this.each *= 2;
    if (odd) this.#waiting = { x: odd.x * before, y: odd.y * before, count: before };
  }
}
