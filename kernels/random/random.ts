// Seeded random numbers on the host, for tests, initial weights and sampling (pure functions of key and counter).
import { philox4x32 } from './philox.ts';

/** Numbers of one stream, in order. */
export interface Random {
  /** U[0, 1) with 24 bits. */
  uniform(): number;
  /** N(0, 1) (Box-Muller). */
  normal(): number;
  /** A whole number in [0, n). */
  below(n: number): number;
}

/** A stream of numbers under (seed, stream); the same on every machine. */
export function random(seed: number, stream = 0): Random {
  let counter = 0;
  let words: Uint32Array = new Uint32Array(4);
  let left = 0;
  const next = (): number => {
    if (left === 0) {
      words = philox4x32([counter >>> 0, Math.floor(counter / 2 ** 32), 0, 0], [seed >>> 0, stream >>> 0]);
      counter++;
      left = 4;
    }
    return words[4 - left--];
  };
  const uniform = (): number => (next() >>> 8) / 2 ** 24;
  return {
    uniform,
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    below: (n) => Math.floor(((next() * 2 ** 21 + (next() >>> 11)) / 2 ** 53) * n),
  };
}
