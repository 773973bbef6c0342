// What is asked of a thread, and what it gives back: images of a batch that follow one another, read, cropped and packed.
import { TesseraeError } from '../../engine/errors.ts';
import { DamagedImage } from './damage.ts';
import type { Encoded } from './dataset.ts';
import type { PackTo, Part, Room } from './pack.ts';
import type { ToldPlace } from './sampler.ts';

export interface PartJob {
  /** Place of the first image in the batch, and how many places there are. */
  readonly first: number;
  readonly count: number;
  /** `id`: what its crop is drawn by. */
  readonly images: readonly { readonly slot: number; readonly id: number; readonly encoded: Encoded }[];
  readonly place: ToldPlace;
  readonly to: PackTo;
  readonly room: Room;
}

export interface PartResult {
  readonly parts: readonly Part[];
  readonly refused: readonly { readonly slot: number; readonly why: Refusal }[];
  /** Of the job's room, for the places that are missing. */
  readonly left: Room;
}

/** An error on its way between threads, which would lose its class. */
export type Refusal =
  | { readonly damaged: string; readonly why: string }
  | { readonly message: string; readonly ours: boolean };

export const refusalOf = (error: unknown): Refusal =>
  error instanceof DamagedImage
    ? { damaged: error.path, why: error.why }
    : { message: (error as Error).message, ours: error instanceof TesseraeError };

export function errorOf(refusal: Refusal): Error {
  if ('damaged' in refusal) return new DamagedImage(refusal.damaged, refusal.why);
  return refusal.ours ? new TesseraeError(refusal.message) : new Error(refusal.message);
}
