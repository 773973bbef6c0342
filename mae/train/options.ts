// Options of pretraining: facebookresearch/mae's names, defaults and meanings, and a few of ours. The one source of the
// flags, of the keys of a config file, of their errors and of the help.
import { DATA_PATH_HELP, isNamedSet } from '../data/help.ts';
import { STANDARD_THREADS } from '../data/threads.ts';
import { PRECISIONS } from '../../engine/trace.ts';
import { lenKeep, LOSSES, OBJECTIVES, patchesOf, POSITIONS, PRESETS, ratioFor } from '../model/config.ts';
import { MASKS, patchNumbers } from '../model/masks.ts';
import { asUsage, misuse } from '../usage.ts';
import { fraction, imageSize, maybeText, memory, oneOf, onOff, real, text, whole } from './flags.ts';
import { modelConfig, peakRate } from './configured.ts';
import { rateDoubts } from './doubts.ts';
import { SCHEDULES } from './schedule.ts';
import { type Flags, optional, type OptionSpec, readOptions, required, type Unused, type ValuesOf } from './table.ts';

const MODEL = 'Model';
const DATA = 'Data';
const STEPS = 'Schedule and optimiser';
const OUTPUT = 'Output';

/** Of sets without a validation split. */
export const SPLIT_OPTIONS = {
  val_fraction: optional(
    real({ open: true, below: 1 }),
    DATA,
    'part of the images that is kept back for validation, of each class as much, where the set has no such split itself',
  ),
  val_seed: required(whole(0, 2 ** 32 - 1), 0, DATA, 'which images --val_fraction keeps back, whatever --seed is'),
} as const;

export const SCHEDULE_OPTIONS = {
  sched: required(oneOf(SCHEDULES), 'cosine', STEPS, 'what follows the warm-up: cosine, step, plateau or constant'),
  step_epochs: required(real({ open: true }), 30, STEPS, 'of step: epochs between steps'),
  gamma: required(real({ open: true, below: 1 }), 0.1, STEPS, 'of step and plateau: factor of each'),
  patience: required(whole(0), 10, STEPS, 'of plateau: evaluations without a better loss that it bears'),
} as const;

/** What the best checkpoint may be chosen by. */
const BEST_METRICS = ['heldout_loss', 'knn_top1', 'linear_top1', 'effective_rank'] as const;

const OPTIMIZERS = ['adamw', 'sgd', 'lars'] as const;
export const OPTIMIZER_OPTIONS = {
  opt: required(oneOf(OPTIMIZERS), 'adamw', STEPS, 'the optimiser: adamw, sgd or lars'),
  momentum: required(real({ below: 1 }), 0.9, STEPS, 'of sgd and lars'),
  nesterov: required(onOff(), false, STEPS, 'of sgd: look ahead by one step'),
} as const;

export const OPTIONS = {
  data_path: optional(text('PATH'), DATA, DATA_PATH_HELP),
  input_size: optional(imageSize(), DATA, 'size of the images that the model sees (default: that of the preset)'),
  heldout: optional(
    whole(0),
    DATA,
    'images kept back for evaluation with fixed masks, of --val_fraction or of val/ where there is one (default: 2000 of cifar10, else 0)',
  ),
  ...SPLIT_OPTIONS,
  train_images: optional(whole(1), DATA, 'train on the first N images only (default: all)'),
  num_workers: required(
    whole(0, 256),
    STANDARD_THREADS,
    DATA,
    'threads that decode images, each two at a time; 0: none, the main thread does it (default: cores less one, at most 10)',
  ),

  model: required(
    oneOf(Object.keys(PRESETS)),
    'mae_vit_large_patch16',
    MODEL,
    'preset of sizes; those below change it',
  ),
  norm_pix_loss: required(onOff(), false, MODEL, 'score pixels normalised by the mean and variance of their patch'),
  mask_ratio: required(real({ open: true, below: 1 }), 0.75, MODEL, 'part of the patches that is removed'),
  mask: required(
    oneOf(MASKS),
    'random',
    MODEL,
    'which patches: random, block (rectangles), grid (regular), bernoulli, loss (those that are hard) or attention (those that the cls token looks at)',
  ),
  mask_guidance: required(
    fraction(),
    0.5,
    MODEL,
    'of loss and attention: from 0, chance alone, to 1, none; loss takes two passes more, attention one over all patches',
  ),
  ids_keep: optional(
    text('LIST'),
    MODEL,
    'patches that stay in every image, as 0,3,8-11, counted from the upper left one on; instead of --mask and --mask_ratio',
  ),
  mask_threshold: optional(
    real({ open: true }),
    MODEL,
    'let the ratio follow the loss, from epoch to epoch: 0.05 up (to 0.8) below this loss, 0.03 down (to 0.3) above it',
  ),
  objective: required(oneOf(OBJECTIVES), 'mae', MODEL, 'mae, or simmim: mask tokens in the encoder and a linear head'),
  loss: optional(oneOf(LOSSES), MODEL, 'mse or l1, over removed patches (default: mse; of simmim l1)'),
  pos_embed: required(oneOf(POSITIONS), 'sincos', MODEL, 'positions: sincos (fixed), learned or none'),
  patch_size: optional(whole(1), MODEL, 'side of a patch in pixels'),
  in_chans: optional(whole(1), MODEL, 'channels of an image'),
  embed_dim: optional(whole(4), MODEL, 'width of the encoder'),
  depth: optional(whole(1), MODEL, 'blocks of the encoder'),
  num_heads: optional(whole(1), MODEL, 'attention heads of the encoder'),
  decoder_embed_dim: optional(whole(4), MODEL, 'width of the decoder'),
  decoder_depth: optional(whole(1), MODEL, 'blocks of the decoder'),
  decoder_num_heads: optional(whole(1), MODEL, 'attention heads of the decoder'),
  dropout: required(real({ below: 1 }), 0, MODEL, 'dropout after attention and MLP (the paper has none)'),

  batch_size: required(whole(1, 2 ** 20), 64, STEPS, 'images of one forward and backward pass'),
  accum_iter: required(whole(1, 2 ** 16), 1, STEPS, 'passes whose gradients are averaged for one update'),
  drop_last: required(
    onOff(),
    false,
    STEPS,
    'leave out the images at the end of an epoch that do not fill an update, as the reference does (default: they make a last, smaller one)',
  ),
  memory: optional(
    memory(),
    STEPS,
    'of the device, that the run may take: a pass that needs more is computed in micro-batches, the same but for rounding (default: what there is, where that can be found out)',
  ),
  epochs: required(whole(1), 400, STEPS, 'times that every image is seen'),
  warmup_epochs: required(real(), 40, STEPS, 'epochs over which the learning rate rises from 0'),
  lr: optional(real({ open: true }), STEPS, 'absolute learning rate (default: from --blr)'),
  blr: required(
    real({ open: true }),
    1e-3,
    STEPS,
    'learning rate of 256 images: lr = blr * batch_size * accum_iter / 256',
  ),
  ...SCHEDULE_OPTIONS,
  min_lr: required(real(), 0, STEPS, 'where the cosine ends, and the least of the other schedules'),
  ...OPTIMIZER_OPTIONS,
  weight_decay: required(real(), 0.05, STEPS, 'on all but biases and norms'),
  clip_grad: optional(real({ open: true }), STEPS, 'largest norm of all gradients together (default: not clipped)'),
  precision: optional(
    oneOf(PRECISIONS),
    STEPS,
    'f32, or f16: products of f16 numbers summed in f32, under a dynamic loss scale (default: f32; f16 with --profile matrix)',
  ),
  checkpoint_blocks: required(
    onOff(),
    false,
    STEPS,
    'compute the inside of blocks again for the backward pass: less memory, more time, the same numbers',
  ),
  seed: required(whole(0, 2 ** 32 - 1), 0, STEPS, 'of weights, order, crops, masks and dropout'),
  max_steps: optional(
    whole(1),
    STEPS,
    'stop after this many updates, however long the schedule is, and evaluate there',
  ),

  output_dir: required(text('PATH'), './output_dir', OUTPUT, 'folder of log, metrics, checkpoints and pictures'),
  pictures: required(
    whole(0),
    6,
    OUTPUT,
    'images (held-out ones, else of the training set) that are rebuilt as training goes on, at most 20 times, for the report (0: none)',
  ),
  log_dir: optional(
    text('PATH'),
    OUTPUT,
    "folder for TensorBoard's event files, one scalar a metric by optimizer step",
  ),
  resume: required(
    maybeText('auto|PATH'),
    '',
    OUTPUT,
    'go on from a checkpoint, by its path or address; auto: from the newest in output_dir, if any',
  ),
  init: required(
    maybeText('CHECKPOINT'),
    '',
    MODEL,
    'begin with the weights of this one (ours or of others, by path, address or OWNER/NAME of the hub), of its sizes unless --model says others; optimiser and schedule are fresh',
  ),
  overwrite: required(
    onOff(),
    false,
    OUTPUT,
    'start again in an output_dir that holds a run, whose checkpoints are deleted',
  ),
  save_freq: required(
    whole(0),
    20,
    OUTPUT,
    'epochs between numbered checkpoints that are kept, those of the first and the last among them (0: none); numbered as the reference does: checkpoint-0 is after epoch 1',
  ),
  keep: required(whole(0), 0, OUTPUT, 'newest numbered checkpoints that stay, older ones are deleted (0: all stay)'),
  save_steps: required(whole(0), 0, OUTPUT, 'updates between checkpoints within an epoch (0: at epoch ends only)'),
  evidence_freq: required(
    whole(0),
    0,
    OUTPUT,
    'epochs between looks at the features: kNN, a linear classifier, effective rank, on the held-out images (0: none)',
  ),
  evidence_images: required(whole(1), 5000, OUTPUT, 'training images that these learn from'),
  best: optional(oneOf(BEST_METRICS), OUTPUT, 'keep checkpoint-best.safetensors, too: the best by this metric'),
  eval_freq: required(whole(1), 1, OUTPUT, 'epochs between evaluations on the held-out images'),
} as const satisfies Record<string, OptionSpec<unknown>>;

/** Checked options; `data_path` is there and `heldout` filled in. */
export type PretrainOptions = ValuesOf<typeof OPTIONS> & {
  readonly data_path: string;
  readonly heldout: number;
};
/** What `parsePretrainOptions` takes: values, or their text. */
export type PretrainFlags = Flags;

/** facebookresearch/mae's flags that mean nothing here, so that its commands can be pasted as they are. */
export const UNUSED: Unused = {
  device: { value: 'NAME', why: 'the adapter is chosen by --adapter' },
  start_epoch: { value: 'N', why: 'a checkpoint knows where it was saved' },
  pin_mem: { value: '', why: 'there is no pinned memory' },
  no_pin_mem: { value: '', why: 'there is no pinned memory' },
  local_rank: { value: 'N', why: 'one process trains on one device' },
  dist_on_itp: { value: '', why: 'one process trains on one device' },
  dist_url: { value: 'URL', why: 'one process trains on one device' },
  world_size: { value: 'N', why: 'one process trains on one device', only: '1' },
};

/**
 * Options from flags (or a plain object) and a YAML file; flags beat the file, the file beats the defaults.
 * @param beneath values that beat the defaults alone: the recipe of a run that is resumed
 * @param note called with a line for every flag that is accepted but means nothing here
 * @throws UsageError that names flag or key, value and rule
 */
export function parsePretrainOptions(
  flags: PretrainFlags,
  configFile?: string,
  note: (line: string) => void = () => {},
  beneath: PretrainFlags = {},
): PretrainOptions {
  const { data_path, heldout, ...rest } = readOptions(OPTIONS, { flags, configFile, note, beneath, unused: UNUSED });
  if (data_path === undefined)
    misuse('--data_path is missing: name a folder of images, or cifar10; tesserae data --help says what else');
  const options = { ...rest, data_path, heldout: heldout ?? (isNamedSet(data_path) ? 2000 : 0) };
  checkTogether(options, note);
  return { ...options, mask_ratio: maskRatio(options) };
}

/** Rules between several options; sizes that no model can have are told in the flags' words. */
function checkTogether(options: PretrainOptions, note: (line: string) => void): void {
  const { min_lr, lr } = options;
  for (const doubt of rateDoubts(options, peakRate(options))) note(doubt);
  if (min_lr > peakRate(options)) {
    misuse(
      `--min_lr ${min_lr} must not pass the learning rate ${peakRate(options)} (${lr ? '--lr' : '--blr x batch / 256'}): lower it`,
    );
  }
  const { best, evidence_freq, val_fraction } = options;
  const heldout = options.heldout > 0 || val_fraction !== undefined;
  if (evidence_freq && !heldout) misuse('--evidence_freq looks at held-out images: give --heldout N');
  if (best && best !== 'heldout_loss' && !evidence_freq) misuse(`--best ${best} needs --evidence_freq`);
  if (best && !heldout) misuse(`--best ${best} is judged on held-out images: give --heldout N`);
  const config = modelConfig(options);
  const patches = patchesOf(config);
  const { ids_keep, mask, mask_threshold } = options;
  if (ids_keep !== undefined) {
    patchNumbers('--ids_keep', ids_keep, patches);
    if (mask !== 'random' || mask_threshold !== undefined)
      misuse(
        `--ids_keep says which patches stay: leave out ${mask === 'random' ? '--mask_threshold' : `--mask ${mask}`}`,
      );
    return;
  }
  const keep = asUsage(() => lenKeep(patches, options.mask_ratio));
  if (keep === patches)
    misuse(`--mask_ratio ${options.mask_ratio} removes none of ${patches} patches: raise it above ${1 / patches}`);
}

/** As the options say, or what the patches that they name leave over. */
function maskRatio(options: PretrainOptions): number {
  const { ids_keep, mask_ratio } = options;
  const patches = patchesOf(modelConfig(options));
  return ids_keep === undefined ? mask_ratio : ratioFor(patchNumbers('--ids_keep', ids_keep, patches).length, patches);
}
