// Options of fine-tuning: facebookresearch/mae's main_finetune.py by its names, and a few of ours.
import { DATA_PATH_HELP } from '../data/help.ts';
import { AUGMENTATIONS, type Augmentation } from '../data/augmentation.ts';
import { parseRandAugment } from '../data/randaugment.ts';
import { PRESETS } from '../model/config.ts';
import { imageSize, maybeText, oneOf, onOff, real, text, whole } from '../train/flags.ts';
import { OPTIMIZER_OPTIONS, OPTIONS, SCHEDULE_OPTIONS, SPLIT_OPTIONS, UNUSED } from '../train/options.ts';
import { rateDoubts } from '../train/doubts.ts';
import { scaledRate } from '../train/schedule.ts';
import { type Flags, optional, readOptions, required, type Unused, type ValuesOf } from '../train/table.ts';
import { misuse } from '../usage.ts';

const DATA = 'Data';
const MODEL = 'Model';
const AUGMENT = 'Augmentation';
const STEPS = 'Schedule and optimiser';
const OUTPUT = 'Output';

/** The reference's names of encoders alone, by ours. */
const ENCODERS: Readonly<Record<string, string>> = {
  vit_base_patch16: 'mae_vit_base_patch16',
  vit_large_patch16: 'mae_vit_large_patch16',
  vit_huge_patch14: 'mae_vit_huge_patch14',
};

const { num_workers, batch_size, accum_iter, drop_last, clip_grad, precision, checkpoint_blocks, seed, max_steps } =
  OPTIONS;
const { output_dir, log_dir, resume, overwrite, save_freq, keep, save_steps } = OPTIONS;

export const FINETUNE_OPTIONS = {
  data_path: optional(text('PATH'), DATA, DATA_PATH_HELP),
  input_size: optional(
    imageSize(),
    DATA,
    'size of the images (default: as in pretraining; positions are interpolated)',
  ),
  ...SPLIT_OPTIONS,
  val_fraction: { ...SPLIT_OPTIONS.val_fraction, help: `${SPLIT_OPTIONS.val_fraction.help} (default: 0.1)` },
  train_images: optional(whole(1), DATA, 'train on N images only, taken evenly from all (default: all)'),
  num_workers,

  finetune: required(
    maybeText('CHECKPOINT'),
    '',
    MODEL,
    'the pretrained encoder, ours or of others, by path, address or OWNER/NAME of the hub; without it training begins from scratch',
  ),
  init: required(maybeText('CHECKPOINT'), '', MODEL, "the same by pretrain's name"),
  model: optional(
    oneOf([...Object.keys(PRESETS), ...Object.keys(ENCODERS)]),
    MODEL,
    'preset of sizes, to begin from scratch',
  ),
  cls_token: required(onOff(), false, MODEL, 'classify by the cls token instead of the mean over patches'),
  drop_path: required(real({ below: 1 }), 0.1, MODEL, 'rate of stochastic depth at the last block'),
  dropout: required(real({ below: 1 }), 0, MODEL, 'dropout after attention and MLP'),
  unfreeze_blocks: optional(whole(0), MODEL, 'train the last N blocks, norm and head only (default: everything)'),

  augment: required(oneOf(Object.keys(AUGMENTATIONS)), 'medium', AUGMENT, 'a bundle of those below; they beat it'),
  crop_scale: optional(real({ open: true }), AUGMENT, 'least part of the area that a crop takes'),
  reprob: optional(real(), AUGMENT, 'probability of a box of noise'),
  mixup: optional(real(), AUGMENT, "alpha of mixup's beta distribution; 0: none"),
  cutmix: optional(real(), AUGMENT, "alpha of cutmix's; 0: none"),
  smoothing: optional(real({ below: 1 }), AUGMENT, 'label smoothing'),
  color_jitter: optional(
    real(),
    AUGMENT,
    'strength of changes of brightness, contrast and colour, where there is no --aa',
  ),
  aa: optional(maybeText('POLICY'), AUGMENT, "RandAugment, as rand-m9-mstd0.5-inc1; '' for none"),

  batch_size,
  accum_iter,
  drop_last,
  epochs: required(whole(1), 50, STEPS, 'times that every image is seen'),
  warmup_epochs: required(real(), 5, STEPS, 'epochs over which the learning rate rises from 0'),
  lr: optional(real({ open: true }), STEPS, 'absolute learning rate (default: from --blr)'),
  blr: required(real({ open: true }), 1e-3, STEPS, 'learning rate of 256 images'),
  ...SCHEDULE_OPTIONS,
  min_lr: required(real(), 1e-6, STEPS, 'where the cosine ends, and the least of the other schedules'),
  layer_decay: required(
    real({ open: true }),
    0.75,
    STEPS,
    'factor of the learning rate from a layer to the one before it',
  ),
  ...OPTIMIZER_OPTIONS,
  weight_decay: required(real(), 0.05, STEPS, 'on all but biases, norms, cls token and positions'),
  clip_grad,
  ema: optional(
    real({ open: true, below: 1 }),
    STEPS,
    'also keep an average of the weights with this decay, as 0.9999',
  ),
  precision,
  checkpoint_blocks,
  seed,
  max_steps,

  output_dir,
  log_dir,
  resume,
  overwrite,
  save_freq,
  keep,
  save_steps,
  eval_freq: required(whole(1), 1, OUTPUT, 'epochs between evaluations on the validation images'),
} as const;

export type FinetuneOptions = ValuesOf<typeof FINETUNE_OPTIONS> & { readonly data_path: string };

/** The reference's flags that mean nothing here, or what is the default anyway. */
export const FINETUNE_UNUSED: Unused = {
  ...UNUSED,
  global_pool: { value: '', why: 'the mean over patches is the default; --cls_token changes it' },
  nb_classes: { value: 'N', why: 'the data says how many classes there are' },
  dist_eval: { value: '', why: 'one process trains on one device' },
  remode: { value: 'NAME', why: 'erased boxes are filled with noise, pixel by pixel', only: 'pixel' },
  recount: { value: 'N', why: 'an image has one erased box at most', only: '1' },
  resplit: { value: '', why: 'there is one view of every image' },
  cutmix_minmax: {
    value: 'X...',
    why: 'boxes of cutmix are drawn by its alpha alone: give --cutmix in its place',
    only: null,
  },
  mixup_prob: { value: 'X', why: 'every batch is mixed', only: '1' },
  mixup_switch_prob: { value: 'X', why: 'a coin decides between mixup and cutmix', only: '0.5' },
  mixup_mode: { value: 'NAME', why: 'a batch is mixed by one draw', only: 'batch' },
};

/** @throws UsageError that names flag or key, value and rule */
export function parseFinetuneOptions(
  flags: Flags,
  configFile?: string,
  note: (line: string) => void = () => {},
  beneath: Flags = {},
): FinetuneOptions {
  const options = readOptions(FINETUNE_OPTIONS, { flags, configFile, note, beneath, unused: FINETUNE_UNUSED });
  const { data_path, init, mixup, cutmix, augment, batch_size, min_lr } = options;
  if (data_path === undefined) misuse('--data_path is missing: name a folder of images by class, or cifar10');
  const finetune = options.finetune || init;
  if (init && init !== finetune) misuse('--init and --finetune mean the same: keep one');
  const model = modelBeside(finetune, options.model, note);
  const bundle: Augmentation = AUGMENTATIONS[augment as keyof typeof AUGMENTATIONS];
  const { aa = bundle.aa } = options;
  if (aa) parseRandAugment(aa);
  if (aa && options.color_jitter) note("--color_jitter is not used beside --aa (as in the reference): give --aa ''");
  if ((mixup ?? bundle.mixup) + (cutmix ?? bundle.cutmix) > 0 && batch_size % 2)
    misuse(`--batch_size must be even with mixup or cutmix, got ${batch_size}`);
  const peak = finetuneRate({ ...options, data_path });
  for (const doubt of rateDoubts(options, peak)) note(doubt);
  if (min_lr > peak) misuse(`--min_lr ${min_lr} must not pass the learning rate ${peak}: lower it`);
  return { ...options, data_path, finetune, init: '', model };
}

/** The preset to begin from scratch with. */
function modelBeside(finetune: string, model: string | undefined, note: (line: string) => void): string | undefined {
  if (!finetune)
    return (
      ENCODERS[model ?? ''] ??
      model ??
      misuse('--finetune CHECKPOINT is missing; or --model NAME, to begin from scratch')
    );
  if (model === undefined) return undefined;
  // The reference's commands name the encoder beside its checkpoint, which here knows its sizes.
  if (!(model in ENCODERS)) misuse('--model says the sizes to begin from scratch with: leave it out beside --finetune');
  note(`--model is not used: ${finetune} knows its sizes`);
  return undefined;
}

/** The bundle, changed by the flags beside it. */
export function augmentationOf({
  augment,
  crop_scale,
  reprob,
  mixup,
  cutmix,
  smoothing,
  aa,
  color_jitter,
}: FinetuneOptions): Augmentation {
  const bundle: Augmentation = AUGMENTATIONS[augment as keyof typeof AUGMENTATIONS];
  return {
    crop_scale: crop_scale === undefined ? bundle.crop_scale : Math.min(1, crop_scale),
    reprob: reprob ?? bundle.reprob,
    mixup: mixup ?? bundle.mixup,
    cutmix: cutmix ?? bundle.cutmix,
    smoothing: smoothing ?? bundle.smoothing,
    aa: aa ?? bundle.aa,
    color_jitter: color_jitter ?? bundle.color_jitter,
  };
}

export const finetuneRate = ({ lr, blr, batch_size, accum_iter }: FinetuneOptions): number =>
  lr ?? scaledRate(blr, batch_size * accum_iter);
