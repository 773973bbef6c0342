// Which patches are hidden: drawn by kind, number and seed, or painted.
import { type ChosenMask, lenKeep, type MaeConfig, noiseFor, noiseOf, patchesOf } from '../../browser.ts';

export const KINDS = ['random', 'block', 'grid'] as const;
export type Kind = (typeof KINDS)[number];

export class Mask {
  readonly config: MaeConfig;
  readonly patches: number;
  /** By patch: 1 where it is hidden. */
  readonly hidden: Uint8Array;
  /** null once it was painted. */
  kind: Kind | null = 'random';
  /** Of what is drawn; as `tesserae reconstruct --seed`, whose first image has number 0. */
  seed = 0;

  constructor(config: MaeConfig, ratio: number) {
    this.config = config;
    this.patches = patchesOf(config);
    this.hidden = new Uint8Array(this.patches);
    this.draw('random', this.patches - lenKeep(this.patches, ratio));
  }

  get count(): number {
    return this.hidden.reduce((sum, h) => sum + h, 0);
  }

  /** Hides so many patches, of which at least one must stay. */
  draw(kind: Kind, count: number): void {
    this.kind = kind;
    const keep = Math.max(1, this.patches - count);
    const noise = noiseFor(kind, this.config, keep, this.seed, 0);
    const order = Array.from(noise, (_, l) => l).sort((a, b) => noise[a] - noise[b] || a - b);
    for (const [rank, l] of order.entries()) this.hidden[l] = rank < keep ? 0 : 1;
  }

  /** Hides or shows one patch. @returns false where it is the last one to be seen, which stays */
  paint(l: number, hide: boolean): boolean {
    if (this.hidden[l] === Number(hide)) return true;
    if (hide && this.count === this.patches - 1) return false;
    this.hidden[l] = Number(hide);
    this.kind = null;
    return true;
  }

  /** What is hidden is seen, and the other way round. @returns false where nothing would be left to see */
  swap(): boolean {
    if (this.count === 0) return false;
    for (let l = 0; l < this.patches; l++) this.hidden[l] = 1 - this.hidden[l];
    this.kind = null;
    return true;
  }

  /** What a model takes; null where nothing is hidden and there is nothing to rebuild. */
  chosen(): ChosenMask | null {
    const kept = Array.from(this.hidden, (_, l) => l).filter((l) => !this.hidden[l]);
    if (kept.length === this.patches) return null;
    return { noise: noiseOf(kept, this.patches), keep: kept.length };
  }
}
