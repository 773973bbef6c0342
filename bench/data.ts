// The input pipeline by itself: decoding and packing, then with upload, crops and augmentation on the device, then the step beside it.
import type { Engine } from '../engine/engine.ts';
import type { DataBench, DataRow } from '../mae/cli/benchdata.ts';
import { replacements } from '../mae/data/damage.ts';
import type { Dataset } from '../mae/data/dataset.ts';
import { loadBatches } from '../mae/data/loader.ts';
import { newCapacities } from '../mae/data/pack.ts';
import { epochOrder, randomPlaces } from '../mae/data/sampler.ts';
import { Preparer } from '../mae/train/prepare.ts';
import { threadCpu } from './threadcpu.ts';
import { trialStep } from '../mae/train/trial.ts';
import { fail } from '../engine/errors.ts';
import { summed } from './median.ts';
import { report } from './result.ts';
import type { TrialSizes } from '../mae/cli/sizes.ts';

/** Batches that do not count: they open files, settle buffers and compile. */
const WARMUP = 3;
const LEAST = 3;
/** Stretches of a measurement whose means say how far to trust it. */
const GROUPS = 5;
const SEED = 0;
const IN_FLIGHT = 3;

export const benchData: DataBench['benchData'] = async (engine, dataset, sizes, options, progress) => {
  const { batchSize } = sizes;
  if (dataset.length < batchSize)
    fail(`bench data: ${dataset.length} images are fewer than --batch_size ${batchSize}; lower it`);
  progress('decode and pack');
  const decoding = await timeLoading(engine, dataset, sizes, options, null);
  const rows = [rowOf('decode, pack', batchSize, decoding)];
  progress('with upload and crops on the device');
  const { mean, std } = dataset;
  const preparer = new Preparer(engine, sizes.config, { mean, std });
  rows.push(rowOf('and upload, crop', batchSize, await timeLoading(engine, dataset, sizes, options, preparer)));
  if (options.step) {
    progress('the training step alone');
    rows.push(
      rowOf('training step alone', batchSize, { samples: await timeSteps(engine, sizes, options.seconds), main: null }),
    );
  }
  const of = `${dataset.name}, ${batchSize} a batch, to ${sizes.config.img_size.join(' x ')}`;
  const named = rows.map((row) => ({ ...row, name: `${row.part}: ${of}` }));
  return report(
    'data',
    engine.device,
    { ...sizes, ...options, precision: engine.precision, data: dataset.name },
    named,
  );
};

/** ms of batch after batch; of all of them, what this thread worked. */
interface Timed {
  readonly samples: readonly number[];
  readonly main: number | null;
}

function rowOf(part: string, batch: number, { samples, main }: Timed): Omit<DataRow, 'name'> {
  const total = samples.reduce((a, b) => a + b, 0);
  // Means: batches that are ready ahead come at once, and a later one pays for them.
  const ms = total / samples.length;
  const size = Math.ceil(samples.length / GROUPS);
  const means = Array.from({ length: Math.floor(samples.length / size) }, (_, i) =>
    samples.slice(i * size, (i + 1) * size).reduce((a, b) => a + b / size, 0),
  );
  const { spread } = summed(means);
  const images = batch * samples.length;
  const main_us = main === null ? undefined : (1000 * main) / images;
  return { part, ms, spread, images_per_s: (1000 * batch) / ms, images, main_us };
}

/** Time between one batch and the next, for so many seconds; over the epochs that this takes. */
async function timeLoading(
  engine: Engine,
  dataset: Dataset,
  { config, batchSize }: TrialSizes,
  { seconds, num_workers }: { seconds: number; num_workers: number },
  preparer: Preparer | null,
): Promise<Timed> {
  const [height, width] = config.img_size;
  const output = { chans: config.in_chans, height, width };
  const maxBytes = engine.device.gpu.limits.maxStorageBufferBindingSize;
  const whole = Math.floor(dataset.length / batchSize) * batchSize;
  const capacities = newCapacities();
  const samples: number[] = [];
  let before = Promise.resolve();
  let [seen, last, end] = [0, 0, Number.POSITIVE_INFINITY];
  let worked = threadCpu();
  for (let epoch = 0; ; epoch++) {
    const loader = loadBatches(dataset, {
      order: epochOrder(SEED, epoch, dataset.length).subarray(0, whole),
      batchSize,
      place: randomPlaces(SEED, epoch),
      output: { ...output, maxBytes },
      workers: num_workers,
      replacement: replacements(SEED, epoch, dataset.length),
      capacities,
    });
    for await (const batch of loader) {
      if (preparer) {
        await preparer.run(batch);
        // One batch on the device while the next one is decoded, as in training.
        await before;
        before = engine.finish();
      }
      const now = performance.now();
      if (++seen > WARMUP) samples.push(now - last);
      else {
        end = now + 1000 * seconds;
        worked = threadCpu();
      }
      last = now;
      if (samples.length < LEAST || now < end) continue;
      const until = threadCpu();
      await before;
      return { samples, main: worked === null || until === null ? null : until - worked };
    }
  }
}

async function timeSteps(engine: Engine, sizes: TrialSizes, seconds: number): Promise<number[]> {
  const { submit } = trialStep(engine, sizes.config, sizes.batchSize, sizes.maskRatio, sizes.checkpointBlocks);
  for (let i = 0; i < WARMUP; i++) await (await submit())();
  const samples: number[] = [];
  const waiting: Promise<number>[] = [];
  let last = performance.now();
  const end = last + 1000 * seconds;
  while (samples.length < LEAST || performance.now() < end) {
    waiting.push((await submit())());
    if (waiting.length < IN_FLIGHT) continue;
    await waiting.shift();
    const now = performance.now();
    samples.push(now - last);
    last = now;
  }
  await Promise.all(waiting);
  return samples;
}
