// What linprobe and knn share: their flags, and the features that these ask for.
import { DATA_PATH_HELP } from '../data/help.ts';
import type { Command } from 'commander';
import type { Engine } from '../../engine/engine.ts';
import type { Split } from '../data/validation.ts';
import type { Features } from '../evaluate/features.ts';
import { type Choice, CHOICES, choicesIn } from '../evaluate/kinds.ts';
import type { ProbeHead } from '../evaluate/linprobe.ts';
import { SPLITS } from '../evaluate/open.ts';
import { oneOf, real, text, whole } from '../train/flags.ts';
import type { Reporter } from '../train/reporter.ts';
import { misuse } from '../usage.ts';
import { type Flags, flagsUnder, value, WEIGHTS_HELP } from './command.ts';
import { imageRate } from './progress.ts';

interface Evaluation {
  readonly data_path: string;
  readonly choices: readonly Choice[];
  readonly test: boolean;
  readonly split: Partial<Split>;
  readonly seed: number;
  /** The encoder as it was before training. */
  readonly random: boolean;
  readonly cache: boolean;
}

/** `checkpoint`: as commander writes the argument. */
export function addEvaluation(command: Command, features: string, checkpoint = '<checkpoint>'): void {
  const option = flagsUnder(command, 'What is evaluated');
  command.argument(checkpoint, WEIGHTS_HELP);
  option('--data_path <PATH>', DATA_PATH_HELP);
  option('--features <LIST>', `of ${CHOICES.join(', ')}: cls token, mean over patches (default: ${features})`);
  option('--split <NAME>', 'val, or test: of what is chosen on val, touch that once (default: val)');
  for (const [flags, help] of SPLIT_FLAGS) option(flags, help);
  option('--seed <N>', 'of weights, order and views (default: 0)');
  option('--random_init', "the encoder's own random weights instead of the trained ones, for comparison");
  option('--no_cache', 'compute the features anew, and do not keep them');
}

/** Of linprobe, knn and eval. */
export const SPLIT_FLAGS: readonly (readonly [flags: string, help: string])[] = [
  [
    '--val_fraction <X>',
    "part of the training images that is kept back for validation, where there is no val/ (default: the checkpoint's, else 0.1)",
  ],
  ['--val_seed <N>', "which images these are (default: the checkpoint's, else 0)"],
];

export const splitIn = (flags: Flags): Partial<Split> => ({
  val_fraction: value(flags, 'val_fraction', real({ open: true, below: 1 })),
  val_seed: value(flags, 'val_seed', whole(0, 2 ** 32 - 1)),
});

export function evaluationOf(flags: Flags): Evaluation {
  const data_path =
    value(flags, 'data_path', text('PATH')) ??
    misuse('--data_path is missing: name a folder of images by class, or cifar10');
  return {
    data_path,
    choices: choicesIn(value(flags, 'features', text('LIST')) ?? 'cls,gap'),
    test: value(flags, 'split', oneOf(SPLITS)) === 'test',
    split: splitIn(flags),
    seed: value(flags, 'seed', whole(0, 2 ** 32 - 1)) ?? 0,
    random: flags.random_init === true,
    cache: flags.no_cache !== true,
  };
}

interface OpenedEvaluation {
  readonly engine: Engine;
  readonly classes: readonly string[];
  /** Of the training images: the whole ones, or so many views. */
  train(views?: number): Promise<Features[]>;
  val(): Promise<Features>;
  /** null where the test set is not asked for. */
  test(): Promise<Features | null>;
  keepHead(path: string, choice: Choice, head: ProbeHead): Promise<void>;
}

/** The device is opened once checkpoint and data are there: what is wrong with them is told at once. */
export async function openEvaluation(
  openDevice: () => Promise<Engine>,
  path: string,
  { data_path, test, split, seed, random, cache }: Evaluation,
  { note, fetching }: Reporter,
): Promise<OpenedEvaluation> {
  const [{ modelOf, openEncoder, labelledData }, { keptFeatures }, { withChannels }] = await Promise.all([
    import('../evaluate/open.ts'),
    import('../evaluate/features.ts'),
    import('../data/channels.ts'),
  ]);
  const checkpoint = await openEncoder(path, fetching);
  const { mean, std } = checkpoint.data;
  const recipe = checkpoint.training?.recipe;
  const data = await labelledData(data_path, fetching, { asked: split, recipe });
  if (test && !data.test) misuse(`--split test: ${data_path} has no test images; give it a folder test/`);
  const engine = await openDevice();
  const model = modelOf(engine, checkpoint, random ? seed : undefined);
  const of = async (set: typeof data.train, number?: number): Promise<Features> => {
    const dataset = withChannels(set, model.config.in_chans);
    const rate = imageRate();
    const progress = (done: number, count: number): void =>
      fetching(done / count, `features of ${dataset.name}`, rate(done));
    const view = number === undefined ? undefined : { seed, number };
    const source = cache ? await data.source() : '';
    return keptFeatures(engine, model, dataset, { mean, std, view, source, cache, note, progress });
  };
  return {
    engine,
    classes: data.classes,
    train: async (views = 0) => {
      if (views === 0) return [await of(data.train)];
      const all: Features[] = [];
      for (let view = 0; view < views; view++) all.push(await of(data.train, view));
      return all;
    },
    val: () => of(data.val),
    test: async () => (test && data.test ? of(data.test) : null),
    keepHead: async (to, choice, head) => {
      if (choice === 'both') return;
      const { saveProbe } = await import('../finetune/checkpoint.ts');
      await saveProbe(to, checkpoint, data.classes, choice, head);
    },
  };
}
