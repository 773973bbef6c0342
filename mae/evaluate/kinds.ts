// Which features a probe sees: the cls token, the mean over patches, or both beside one another.
import { misuse } from '../usage.ts';
import type { Features } from './features.ts';
import { normalized } from './knn.ts';

export const CHOICES = ['cls', 'gap', 'both'] as const;
export type Choice = (typeof CHOICES)[number];

/** `cls,gap` to its parts. */
export function choicesIn(text: string): Choice[] {
  const names = text.split(',').filter(Boolean);
  const wrong = names.find((name) => !(CHOICES as readonly string[]).includes(name));
  if (wrong !== undefined || !names.length)
    misuse(`--features must be of ${CHOICES.join(', ')}, with commas between, got ${wrong ?? "''"}`);
  return names as Choice[];
}

/** (count, dim), or (count, 2 dim) for both: each scaled to length 1, so that neither outweighs the other. */
export function chosen({ cls, gap, dim }: Features, choice: Choice): { x: Float32Array; dim: number } {
  if (choice !== 'both') return { x: choice === 'cls' ? cls : gap, dim };
  const [a, b] = [normalized(cls, dim), normalized(gap, dim)];
  const x = new Float32Array(2 * cls.length);
  for (let row = 0; row * dim < cls.length; row++) {
    x.set(a.subarray(row * dim, (row + 1) * dim), 2 * row * dim);
    x.set(b.subarray(row * dim, (row + 1) * dim), (2 * row + 1) * dim);
  }
  return { x, dim: 2 * dim };
}
