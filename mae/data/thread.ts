// A thread that reads parts of batches: what mae/data/threads.ts starts.
import { parentPort, workerData } from 'node:worker_threads';
import { readEncoded } from './encoded.ts';
import { decodeHere } from './image.ts';
import { packer } from './pack.ts';
import { type PartJob, type PartResult, refusalOf } from './part.ts';
import { queueOf } from './queue.ts';
import { placeOf } from './sampler.ts';

export interface ThreadData {
  readonly budget: SharedArrayBuffer;
  /** Images read at the same time. */
  readonly atOnce: number;
}
export interface ThreadJob {
  readonly number: number;
  readonly job: PartJob;
}
export interface ThreadResult {
  readonly number: number;
  readonly result: PartResult;
}

const { budget, atOnce } = workerData as ThreadData;
decodeHere(budget);
const turns = queueOf(atOnce);

async function read({ first, count, images, place, to, room }: PartJob): Promise<PartResult> {
  const placed = placeOf(place);
  const pack = packer(first, count, to, room);
  const refused: { slot: number; why: PartResult['refused'][number]['why'] }[] = [];
  const one = async ({ slot, id, encoded }: PartJob['images'][number]): Promise<void> => {
    try {
      const sample = await readEncoded(encoded);
      pack.add(slot, sample, placed(id, sample));
    } catch (error) {
      refused.push({ slot, why: refusalOf(error) });
    }
  };
  await Promise.all(images.map((image) => turns(() => one(image))));
  return { ...pack.finish(), refused };
}

parentPort?.on('message', async ({ number, job }: ThreadJob) => {
  const result = await read(job);
  const pieces = result.parts.flatMap((part) => part.pieces.map(({ buffer }) => buffer as ArrayBuffer));
  parentPort?.postMessage({ number, result } satisfies ThreadResult, pieces);
});
