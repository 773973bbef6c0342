// The options of a run in the page: those of `tesserae pretrain`, so that its checkpoints go on there, and those of there here.
import type { Engine } from '../../../engine/engine.ts';
import { fail } from '../../../engine/errors.ts';
import { PRESETS } from '../../model/config.ts';
import type { Checkpoint } from '../../train/checkpoint.ts';
import type { PretrainOptions } from '../../train/options.ts';
import type { Smaller } from '../../train/room.ts';
import { HELDOUT, TRAIN } from '../images/sheet.ts';
import type { Settings } from './messages.ts';

/** Of the visitor's own images, how many at most judge. */
const MOST_HELDOUT = 128;

/** What Node's command takes where nothing is said (train/options.ts, which loads on Node alone). */
const STANDARD = {
  ...{ val_seed: 0, num_workers: 10 },
  ...{ model: 'mae_vit_large_patch16', norm_pix_loss: false, mask_ratio: 0.75, mask: 'random', mask_guidance: 0.5 },
  ...{ objective: 'mae', pos_embed: 'sincos', dropout: 0, init: '' },
  ...{ batch_size: 64, accum_iter: 1, drop_last: false, epochs: 400, warmup_epochs: 40, blr: 1e-3 },
  ...{ sched: 'cosine', step_epochs: 30, gamma: 0.1, patience: 10, min_lr: 0 },
  ...{ opt: 'adamw', momentum: 0.9, nesterov: false, weight_decay: 0.05, checkpoint_blocks: false, seed: 0 },
  ...{ output_dir: './output_dir', pictures: 6, resume: '', overwrite: false, save_freq: 20, keep: 0, save_steps: 0 },
  ...{ evidence_freq: 0, evidence_images: 5000, eval_freq: 1 },
} as const;

/** The visitor's own images have no path that Node could open: who goes on there names it. */
const UNNAMED = undefined as unknown as string;

/** A checkpoint of every epoch would be one too many in a page; `num_workers` images are decoded at a time. */
const HERE = { save_freq: 0, num_workers: 4, pictures: 6 } as const;

/**
 * A new run: what the settings say, at a learning rate that stays as it is set after the first epoch.
 * @param own how many images of the visitor's there are; undefined: those of the page
 */
export function optionsOf(settings: Settings, own: number | undefined): PretrainOptions {
  const { model, side, ...said } = settings;
  const preset = (PRESETS as Record<string, { readonly patch_size: number; readonly img_size: readonly number[] }>)[
    model
  ];
  if (!preset) fail(`page: there is no model ${model}`);
  const patch_size = (preset.patch_size * side) / preset.img_size[0];
  return {
    ...(STANDARD as unknown as PretrainOptions),
    ...{ model, ...said, sched: 'constant', warmup_epochs: 1 },
    ...(side === preset.img_size[0] ? {} : { input_size: [side, side] as [number, number], patch_size }),
    ...imagesOf(own),
    ...HERE,
  };
}

/** What the options say of the images: of so many of the visitor's, or of those of the page. */
export const imagesOf = (own: number | undefined): Pick<PretrainOptions, 'data_path' | 'train_images' | 'heldout'> =>
  own === undefined
    ? { data_path: 'cifar10', train_images: TRAIN, heldout: HELDOUT }
    : { data_path: UNNAMED, train_images: undefined, heldout: Math.min(MOST_HELDOUT, Math.floor(own / 5)) };

/** Of the run that a checkpoint is of; as many epochs again where it has ended. */
export function optionsFrom({ training }: Pick<Checkpoint, 'training'>): PretrainOptions {
  const recipe =
    training?.recipe ?? fail('resume: this file holds weights but no training state: it is of no run that could go on');
  const said = Object.fromEntries(
    Object.entries(recipe).filter(([name, value]) => value !== null && name !== 'precision'),
  );
  const options = { ...(STANDARD as unknown as PretrainOptions), heldout: 0, ...said, ...HERE } as PretrainOptions;
  const ended = (training?.epoch ?? 0) >= options.epochs;
  return ended ? { ...options, epochs: 2 * options.epochs } : options;
}

/** The fewest pictures a step that index.html offers. */
const FEWEST = 16;

/** What the visitor can do where so many pictures a step would have room. */
export const fewerPictures: Smaller = (images) =>
  images < FEWEST
    ? 'the page offers no fewer: choose the smaller model, or let pictures shrink further'
    : `choose ${images} or fewer under "Pictures a step"`;

/** f32 or f16. */
export const precisionOf = (from: Pick<Checkpoint, 'training'> | null): Engine['precision'] =>
  (from?.training?.recipe.precision as Engine['precision'] | null) ?? 'f32';

/** Whether the images that come with the page are those of this run. */
export const isShipped = ({ data_path, train_images = 50_000, heldout, val_fraction }: PretrainOptions): boolean =>
  data_path === 'cifar10' && train_images <= TRAIN && heldout <= HELDOUT && val_fraction === undefined;

/** How `tesserae pretrain` goes on from a file of this name. */
export function commandFor(file: string, { data_path }: PretrainOptions): string {
  const data = data_path ? '' : ' --data_path YOUR_FOLDER';
  return `npx tesserae pretrain --resume ${file} --output_dir runs/from-page${data}`;
}
