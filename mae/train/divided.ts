// Which images of a set a run trains on and which it keeps back: --val_fraction, --heldout and --train_images.
import { fail } from '../../engine/errors.ts';
import { withChannels } from '../data/channels.ts';
import { type Dataset, part } from '../data/dataset.ts';
import { refuseSecond, splitOff } from '../data/validation.ts';
import type { PretrainOptions } from './options.ts';

export interface TrainingData {
  readonly train: Dataset;
  readonly heldout: Dataset | null;
}

/** `heldout` of the data: its own images for validation, if there are any. */
export function divided(data: TrainingData, options: PretrainOptions): TrainingData {
  const { data_path, heldout: wanted, val_fraction, val_seed, train_images, in_chans } = options;
  refuseSecond(data_path, data.heldout, options);
  let { train, heldout } = data;
  if (val_fraction !== undefined) {
    const split = splitOff(train, { val_fraction, val_seed });
    [train, heldout] = [split.train, split.val];
    if (wanted && wanted < heldout.length) heldout = part(heldout, heldout.length - wanted, wanted);
  } else if (!wanted) heldout = null;
  else if (!heldout) {
    if (wanted >= train.length) fail(`pretrain: --heldout ${wanted} leaves none of ${train.length} images to train on`);
    heldout = part(train, train.length - wanted, wanted);
    train = part(train, 0, train.length - wanted);
  } else if (wanted < heldout.length) heldout = part(heldout, heldout.length - wanted, wanted);
  if (train_images !== undefined) {
    if (train_images > train.length)
      fail(`pretrain: --train_images ${train_images} is more than the ${train.length} that there are`);
    train = part(train, 0, train_images);
  }
  if (in_chans === undefined) return { train, heldout };
  return { train: withChannels(train, in_chans), heldout: heldout && withChannels(heldout, in_chans) };
}
