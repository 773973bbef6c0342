// Elementwise operations in plain f64 loops.
import { dgelu as dgeluAt, gelu as geluAt } from '../lib/erf.ts';
import { uniformAt } from '../random/random.ref.ts';

type Named<N extends string> = { [name in N]: Float64Array };

const fillWith = (out: Float64Array, at: (i: number) => number): void => {
  for (let i = 0; i < out.length; i++) out[i] = at(i);
};

export const add = ({ a, b, y }: Named<'a' | 'b' | 'y'>): void => fillWith(y, (i) => a[i] + b[i]);
export const mul = ({ a, b, y }: Named<'a' | 'b' | 'y'>): void => fillWith(y, (i) => a[i] * b[i]);
export const relu = ({ x, y }: Named<'x' | 'y'>): void => fillWith(y, (i) => Math.max(x[i], 0));
export const drelu = ({ x, dy, dx }: Named<'x' | 'dy' | 'dx'>): void => fillWith(dx, (i) => (x[i] <= 0 ? 0 : dy[i]));
export const scale = ({ x, s, y }: Named<'x' | 's' | 'y'>): void => fillWith(y, (i) => x[i] * s[0]);
export const axpy = ({ x, y }: Named<'x' | 'y'>, { s }: { s: number }): void => fillWith(y, (i) => y[i] + s * x[i]);
export const gelu = ({ x, y }: Named<'x' | 'y'>): void => fillWith(y, (i) => geluAt(x[i]));
export const dgelu = ({ x, dy, dx }: Named<'x' | 'dy' | 'dx'>): void => fillWith(dx, (i) => dy[i] * dgeluAt(x[i]));
export const copy = ({ x, y }: Named<'x' | 'y'>): void => fillWith(y, (i) => x[i]);
export const fill = ({ y }: Named<'y'>, { value }: { value: number }): void => fillWith(y, () => value);

export function dropout(
  { x, ids, clock, y }: Named<'x' | 'y'> & { ids: Uint32Array; clock: Uint32Array },
  { n, rate, seed, stream }: { n: number; rate: number; seed: number; stream: number },
): void {
  fillWith(y, (i) => {
    const u = uniformAt(i % n, ids[Math.floor(i / n)], clock[0], seed, stream);
    return u >= Math.fround(rate) ? x[i] / (1 - Math.fround(rate)) : 0;
  });
}

export function droppath(
  { x, r, ids, clock, y }: Named<'x' | 'r' | 'y'> & { ids: Uint32Array; clock: Uint32Array },
  { n, rate, seed, stream, SUM }: { n: number; rate: number; seed: number; stream: number; SUM: boolean },
): void {
  fillWith(y, (i) => {
    const u = uniformAt(0, ids[Math.floor(i / n)], clock[0], seed, stream);
    return (SUM ? r[i] : 0) + (u >= Math.fround(rate) ? x[i] / (1 - Math.fround(rate)) : 0);
  });
}

export function lerp({ x, y }: Named<'x' | 'y'>, { s }: { s: number }): void {
  fillWith(y, (i) => y[i] + Math.fround(s) * (x[i] - y[i]));
}
