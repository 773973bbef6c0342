// Images that are told of by where they lie, so that a thread can read them as well as the one that has the data set.
import { inChannels } from './channels.ts';
import type { Encoded, Reading, Sample } from './dataset.ts';
import { readAt } from './formats/bytes.ts';
import { decodeImage } from './image.ts';
import { readingThreads } from './threads.ts';

/** A set's `read` that decodes what `locate` finds. */
export const decoding = (locate: (index: number) => Promise<Encoded>): Reading =>
  Object.assign(async (index: number) => readEncoded(await locate(index)), {
    encoded: { locate, threads: readingThreads },
  });

/** @throws DamagedImage */
export async function readEncoded({ name, source, label, channels = 3 }: Encoded): Promise<Sample> {
  const bytes =
    typeof source === 'string' || source instanceof Uint8Array
      ? source
      : await readAt(source.path, source.offset, source.size);
  return inChannels(await decodeImage(bytes, name, label), channels);
}
