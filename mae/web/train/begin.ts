// What a run in the page begins with: images and options that fit one another, and the checkpoint that it goes on from.
import { bitmaps } from '../../data/bitmaps.ts';
import type { Dataset } from '../../data/dataset.ts';
import type { Checkpoint } from '../../train/checkpoint.ts';
import { divided, type TrainingData } from '../../train/divided.ts';
import type { PretrainOptions } from '../../train/options.ts';
import { readAutoencoder } from '../../weights/own.ts';
import { blobPlace } from '../../weights/place.ts';
import { fail } from '../../../engine/errors.ts';
import { fromSheet, HELDOUT, keptBack } from '../images/sheet.ts';
import { folderData } from './folder.ts';
import type { Start } from './messages.ts';
import { imagesOf, isShipped, optionsFrom, optionsOf } from './recipe.ts';

interface Begun {
  readonly options: PretrainOptions;
  readonly data: TrainingData;
  readonly from: Checkpoint | null;
}

/** @param note told where a run goes on with other images than it had */
export async function beginning(start: Start, note: (line: string) => void): Promise<Begun> {
  const { settings, files, checkpoint, sheet } = start;
  const from = checkpoint && (await readAutoencoder(blobPlace(checkpoint), { training: true }));
  const own = files && folderData(files);
  const shipped = async (count: number): Promise<TrainingData> => keptBack(await openSheet(sheet), count);
  if (!from) {
    const options = optionsOf(settings, own?.train.length);
    return { options, data: own ?? (await shipped(HELDOUT)), from };
  }
  const options = optionsFrom(from);
  if (own ? isTheirs(own, options, from) : isShipped(options))
    return { options, data: own ?? (await shipped(options.heldout)), from };
  const others = { ...options, ...imagesOf(own?.train.length), val_fraction: undefined };
  return onOthers({ options: others, data: own ?? (await shipped(HELDOUT)), from }, note);
}

async function openSheet(address: string): Promise<ReturnType<typeof fromSheet>> {
  const response = await fetch(address);
  if (!response.ok) fail(`page: ${address} cannot be loaded (${response.status}): reload the page`);
  return fromSheet(await bitmaps([await response.blob()]).read(0));
}

/** Whether a folder may be the one that a run without a path had. */
const isTheirs = (own: TrainingData, options: PretrainOptions, { training }: Checkpoint): boolean =>
  !options.data_path && own.train.length > options.heldout && training?.images === divided(own, options).train.length;

/** A run goes on from its weights and moments with images that it did not have: from the beginning of the epoch that it is in. */
function onOthers({ options, data, from }: Begun & { readonly from: Checkpoint }, note: (line: string) => void): Begun {
  const { mean, std } = from.data;
  const as = (set: Dataset): Dataset => ({ ...set, ...(mean.length === set.channels ? { mean, std } : {}) });
  const normalised = { train: as(data.train), heldout: data.heldout && as(data.heldout) };
  const images = divided(normalised, options).train.length;
  const { training } = from;
  if (!training || training.images === images) return { options, data: normalised, from };
  note(
    `this run had ${training.images} images, here are ${images} others: it goes on with these from the beginning of epoch ${training.epoch + 1}`,
  );
  const anew = { ...training, images, step: 0, lossSum: 0, left: 0 };
  return { options, data: normalised, from: { ...from, training: anew } };
}
