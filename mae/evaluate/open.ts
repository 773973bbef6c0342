// What every evaluation begins with: a model, trained or as it was before training, and the images to fit and to judge it on.
import type { Engine } from '../../engine/engine.ts';
import { fail } from '../../engine/errors.ts';
import { type Dataset, part } from '../data/dataset.ts';
import { openData } from '../data/open.ts';
import type { FetchProgress } from '../data/fetch-cifar10.ts';
import { initialWeights } from '../model/init.ts';
import { MaskedAutoencoder } from '../model/model.ts';
import { type Checkpoint, loadCheckpoint } from '../train/checkpoint.ts';

export const SPLITS = ['val', 'test'] as const;
export type Split = (typeof SPLITS)[number];

export interface Labels {
  readonly train: Dataset;
  /** Images that nothing was trained on: to choose by. */
  readonly val: Dataset;
  /** To be touched once, at the end; null where the data has none. */
  readonly test: Dataset | null;
  readonly classes: readonly string[];
}

/** Labelled images with a validation split: the data's own, or the last tenth of the training images. */
export async function labelledData(path: string, progress?: FetchProgress): Promise<Labels> {
  const data = await openData(path, progress);
  let { train, heldout: val } = data;
  const { classes } = train;
  if (!classes || classes.length < 2)
    fail(`${path}: images without classes cannot be classified: give a folder of one folder a class, or cifar10`);
  for (const other of [val, data.test]) {
    if (other && String(other.classes) !== String(classes))
      fail(
        `${other.name} has ${other.classes?.length ?? 0} classes, ${train.name} ${classes.length}: both must have the same folders`,
      );
  }
  if (!val) {
    const count = Math.max(1, Math.floor(train.length / 10));
    if (count >= train.length) fail(`${path}: ${train.length} images are too few to keep some for validation`);
    // A folder lists one class after the other: every tenth image, so that each class is in both.
    const every = train;
    const first = train.length - count;
    const order = interleaved(every.length, 10);
    const shuffled: Dataset = { ...every, read: (index) => every.read(order[index]) };
    [train, val] = [
      { ...part(shuffled, 0, first) },
      { ...part(shuffled, first, count), name: `${every.name}, validation` },
    ];
  }
  return { train, val, test: data.test, classes };
}

/** All numbers below n, those that a multiple of `step` follows last: a split that needs no random numbers. */
function interleaved(n: number, step: number): Uint32Array {
  const all = Array.from({ length: n }, (_, i) => i);
  const kept = (i: number): boolean => i % step === step - 1;
  return Uint32Array.from([...all.filter((i) => !kept(i)), ...all.filter(kept)]);
}

/** The checkpoint's model, or with `randomSeed` its sizes with the weights that a run of this seed begins with. */
export async function openModel(
  engine: Engine,
  path: string,
  randomSeed?: number,
): Promise<{ model: MaskedAutoencoder; checkpoint: Checkpoint }> {
  const checkpoint = await loadCheckpoint(path);
  const { config, weights } = checkpoint;
  const values = randomSeed === undefined ? weights : initialWeights(config, randomSeed);
  return { model: new MaskedAutoencoder(engine, config, values), checkpoint };
}
