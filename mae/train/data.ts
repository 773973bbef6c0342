// Which images a run trains on and which it keeps back: --data_path, --heldout and --train_images.
import { fail } from '../../engine/errors.ts';
import { type Dataset, part } from '../data/dataset.ts';
import { openData } from '../data/open.ts';
import type { Reporter } from './reporter.ts';
import type { PretrainOptions } from './options.ts';

export interface TrainingData {
  readonly train: Dataset;
  readonly heldout: Dataset | null;
}

/** Opens the data; CIFAR-10 is fetched where it is asked for by name and not in the cache. */
export async function trainingData(options: PretrainOptions, report: Reporter): Promise<TrainingData> {
  const data = await openData(options.data_path, (fraction, what) => report.fetching(fraction, what), options.heldout);
  let { train, heldout } = data;
  if (!options.heldout) heldout = null;
  else if (!heldout) {
    if (options.heldout >= train.length)
      fail(`pretrain: --heldout ${options.heldout} leaves none of ${train.length} images to train on`);
    heldout = part(train, train.length - options.heldout, options.heldout);
    train = part(train, 0, train.length - options.heldout);
  } else if (options.heldout < heldout.length)
    heldout = part(heldout, heldout.length - options.heldout, options.heldout);
  if (options.train_images !== undefined) {
    if (options.train_images > train.length)
      fail(`pretrain: --train_images ${options.train_images} is more than the ${train.length} that there are`);
    train = part(train, 0, options.train_images);
  }
  return { train, heldout };
}
