// What linprobe and knn share: their flags, and the features that these ask for.
import { type Command, Option } from 'commander';
import type { Engine } from '../../engine/engine.ts';
import type { Features } from '../evaluate/features.ts';
import { type Choice, CHOICES, choicesIn } from '../evaluate/kinds.ts';
import type { ProbeHead } from '../evaluate/linprobe.ts';
import { SPLITS } from '../evaluate/open.ts';
import { oneOf, text, whole } from '../train/flags.ts';
import type { Reporter } from '../train/reporter.ts';
import { misuse } from '../usage.ts';
import { type Flags, value } from './command.ts';

export interface Evaluation {
  readonly data_path: string;
  readonly choices: readonly Choice[];
  readonly test: boolean;
  readonly seed: number;
  /** The encoder as it was before training. */
  readonly random: boolean;
  readonly cache: boolean;
}

export function addEvaluation(command: Command, features: string): void {
  const option = (flags: string, help: string): void =>
    void command.addOption(new Option(flags, help).helpGroup('What is evaluated:'));
  command.argument('<checkpoint>', 'a checkpoint.safetensors of pretrain');
  option('--data_path <PATH>', 'a folder of one folder a class (with val/ and test/, if it has them), or cifar10');
  option('--features <LIST>', `of ${CHOICES.join(', ')}: cls token, mean over patches (default: ${features})`);
  option('--split <NAME>', 'val, or test: of what is chosen on val, touch that once (default: val)');
  option('--seed <N>', 'of weights, order and views (default: 0)');
  option('--random_init', "the encoder's own random weights instead of the trained ones, for comparison");
  option('--no_cache', 'compute the features anew, and do not keep them');
}

export function evaluationOf(flags: Flags): Evaluation {
  const data_path =
    value(flags, 'data_path', text('PATH')) ??
    misuse('--data_path is missing: name a folder of images by class, or cifar10');
  return {
    data_path,
    choices: choicesIn(value(flags, 'features', text('LIST')) ?? 'cls,gap'),
    test: value(flags, 'split', oneOf(SPLITS)) === 'test',
    seed: value(flags, 'seed', whole(0, 2 ** 32 - 1)) ?? 0,
    random: flags.random_init === true,
    cache: flags.no_cache !== true,
  };
}

export interface OpenedEvaluation {
  readonly classes: readonly string[];
  /** Of the training images: the whole ones, or so many views. */
  train(views?: number): Promise<Features[]>;
  val(): Promise<Features>;
  /** null where the test set is not asked for. */
  test(): Promise<Features | null>;
  keepHead(path: string, choice: Choice, head: ProbeHead): Promise<void>;
}

export async function openEvaluation(
  engine: Engine,
  path: string,
  { data_path, test, seed, random, cache }: Evaluation,
  { note, fetching }: Reporter,
): Promise<OpenedEvaluation> {
  const [{ openModel, labelledData }, { keptFeatures }] = await Promise.all([
    import('../evaluate/open.ts'),
    import('../evaluate/features.ts'),
  ]);
  const { model, checkpoint } = await openModel(engine, path, random ? seed : undefined);
  const { mean, std } = checkpoint.data;
  const data = await labelledData(data_path, fetching);
  if (data.train.channels !== model.config.in_chans)
    misuse(`--data_path ${data_path} has ${data.train.channels} channels, the model takes ${model.config.in_chans}`);
  const of = (dataset: typeof data.train, number?: number): Promise<Features> => {
    const progress = (done: number, count: number): void => fetching(done / count, `features of ${dataset.name}`);
    const view = number === undefined ? undefined : { seed, number };
    return keptFeatures(engine, model, dataset, { mean, std, view, source: data_path, cache, note, progress });
  };
  return {
    classes: data.classes,
    train: async (views = 0) => {
      if (views === 0) return [await of(data.train)];
      const all: Features[] = [];
      for (let view = 0; view < views; view++) all.push(await of(data.train, view));
      return all;
    },
    val: () => of(data.val),
    test: async () => {
      if (!test) return null;
      return of(data.test ?? misuse(`--split test: ${data_path} has no test images; give it a folder test/`));
    },
    keepHead: async (to, choice, head) => {
      if (choice === 'both') return;
      const { saveProbe } = await import('../finetune/checkpoint.ts');
      await saveProbe(to, checkpoint, data.classes, choice, head);
    },
  };
}
