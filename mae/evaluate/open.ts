// What every evaluation begins with: a model, trained or as it was before training, and the images to fit and to judge it on.
import type { Engine } from '../../engine/engine.ts';
import { fail } from '../../engine/errors.ts';
import type { Dataset } from '../data/dataset.ts';
import { openData } from '../data/open.ts';
import type { FetchProgress } from '../data/fetch.ts';
import { stampOf } from '../data/stamp.ts';
import { refuseSecond, splitOff, type SplitRequest, splitWanted } from '../data/validation.ts';
import { NO_DECODER } from '../model/classifier.ts';
import type { MaeConfig } from '../model/config.ts';
import { VisionEncoder } from '../model/encoder.ts';
import { initialWeights } from '../model/init.ts';
import type { ReadProgress } from '../train/modelfile.ts';
import { loadEncoder } from '../weights/node.ts';
import type { EncoderCheckpoint } from '../weights/own.ts';

export const SPLITS = ['val', 'test'] as const;

export interface Labels {
  readonly train: Dataset;
  /** Images that nothing was trained on: to choose by. */
  readonly val: Dataset;
  /** To be touched once, at the end; null where the data has none. */
  readonly test: Dataset | null;
  readonly classes: readonly string[];
  /** What kept features are told apart by: the path, what lies there now, and how it was divided. */
  source(): Promise<string>;
}

/** Labelled images with a validation split: the data's own, or a part of the training images. */
export async function labelledData(
  path: string,
  progress?: FetchProgress,
  request: SplitRequest = {},
): Promise<Labels> {
  const data = await openData(path, progress);
  const { train, heldout, test } = data;
  const { classes } = train;
  if (!classes || classes.length < 2)
    fail(`${path}: images without classes cannot be classified: give a folder of one folder a class, or cifar10`);
  for (const other of [heldout, test]) {
    if (other && String(other.classes) !== String(classes))
      fail(
        `${other.name} has ${other.classes?.length ?? 0} classes, ${train.name} ${classes.length}: both must have the same folders`,
      );
  }
  refuseSecond(path, heldout, request.asked ?? {});
  let found: Promise<string> | undefined;
  const stamp = (): Promise<string> => (found ??= stampOf(path));
  if (heldout) return { train, val: heldout, test, classes, source: async () => `${path} ${await stamp()}` };
  const split = splitWanted(request);
  const source = async (): Promise<string> =>
    `${path} ${await stamp()}, val_fraction ${split.val_fraction}, val_seed ${split.val_seed}`;
  return { ...splitOff(train, split), test, classes, source };
}

/** An encoder with its last norm: read before a device is opened, so that a wrong path is told at once. */
export const openEncoder = (path: string, progress?: ReadProgress): Promise<EncoderCheckpoint> =>
  loadEncoder(path, { demandNorm: true, progress });

/** The checkpoint's encoder, or with `randomSeed` its sizes with the weights that a run of this seed begins with. */
export function modelOf(engine: Engine, { config, weights }: EncoderCheckpoint, randomSeed?: number): VisionEncoder {
  // Of a run of ours the decoder's sizes are known, on which the draws depend.
  const whole = { ...NO_DECODER, ...config } as MaeConfig;
  const values = randomSeed === undefined ? weights : initialWeights(whole, randomSeed);
  return new VisionEncoder(engine, config, values);
}
