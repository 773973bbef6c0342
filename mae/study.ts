// A recipe carried through: pretrain, then kNN, linear probe and fine-tuning, each also from an encoder that was never trained. What has been
// done is kept, part by part, so that an interrupted study goes on.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from '../engine/engine.ts';
import { makeFolder, writeFileAtomic } from '../engine/node/files.ts';
import type { Features } from './evaluate/features.ts';
import { keptFeatures } from './evaluate/features.ts';
import { chosen } from './evaluate/kinds.ts';
import { knn } from './evaluate/knn.ts';
import { PROBE_DEFAULTS, tooSlow } from './evaluate/linprobe.ts';
import type { Dataset } from './data/dataset.ts';
import { labelledData, type Labels, modelOf, openEncoder } from './evaluate/open.ts';
import { effectiveRank } from './evaluate/rank.ts';
import { sweep } from './evaluate/sweep.ts';
import { loadClassifier } from './finetune/checkpoint.ts';
import { Judge } from './finetune/evaluate.ts';
import { finetune } from './finetune/finetune.ts';
import { parseFinetuneOptions } from './finetune/options.ts';
import { Classifier } from './model/classifier.ts';
import { real, whole } from './train/flags.ts';
import { parsePretrainOptions } from './train/options.ts';
import { pretrain } from './train/pretrain.ts';
import type { Reporter } from './train/reporter.ts';
import { type Flags, readConfig } from './train/table.ts';
import { misuse } from './usage.ts';

export const ENCODERS = ['random', 'mae'] as const;
export type Encoder = (typeof ENCODERS)[number];

/** In per cent of the test images. */
export interface StudyRow {
  readonly encoder: Encoder;
  /** What was classified by; fine-tuning goes by the mean over patches. */
  readonly features: 'cls' | 'gap';
  readonly knn: number;
  readonly linear: number;
  readonly effective_rank: number;
}

export interface StudyResult {
  readonly recipe: string;
  readonly seed: number;
  heldout_loss?: number;
  rows?: StudyRow[];
  finetune?: Record<Encoder, number>;
  /** Of each part, as it was made. */
  readonly seconds: Record<string, number>;
}

interface Settings {
  readonly knn: { readonly k: number; readonly temperature: number };
  readonly linprobe: {
    readonly blrs: number[];
    readonly epochs: number;
    readonly warmup_epochs: number;
    readonly batch_size: number;
  };
  readonly finetune: Flags | null;
}

/** The `study` section of a recipe. */
export function studySettings(path: string): Settings {
  const section = (readConfig(path, 'study:').study ?? misuse(`study: ${path} has no section study`)) as Record<
    string,
    Flags
  >;
  const wrong = Object.keys(section).find((name) => !['knn', 'linprobe', 'finetune'].includes(name));
  if (wrong !== undefined) misuse(`study: ${path}: there is no part ${wrong}; there are knn, linprobe and finetune`);
  const number = (part: string, name: string, kind: ReturnType<typeof whole>, standard: number): number => {
    const given = section[part]?.[name] ?? standard;
    const result = kind.schema.safeParse(given);
    return result.success ? result.data : misuse(`study: ${path}: ${part}.${name} must be ${kind.rule}, got ${given}`);
  };
  const rates = [section.linprobe?.blr ?? PROBE_DEFAULTS.blr].flat();
  if (!rates.every((rate) => typeof rate === 'number' && rate > 0))
    misuse(`study: ${path}: linprobe.blr must be numbers above 0, got ${JSON.stringify(rates)}`);
  return {
    knn: { k: number('knn', 'k', whole(1), 20), temperature: number('knn', 'temperature', real({ open: true }), 0.07) },
    linprobe: {
      blrs: rates as number[],
      epochs: number('linprobe', 'epochs', whole(1), PROBE_DEFAULTS.epochs),
      warmup_epochs: number('linprobe', 'warmup_epochs', real(), PROBE_DEFAULTS.warmup_epochs),
      batch_size: number('linprobe', 'batch_size', whole(2), PROBE_DEFAULTS.batch_size),
    },
    finetune: section.finetune ?? null,
  };
}

interface StudyOptions {
  readonly recipe: string;
  readonly folder: string;
  readonly seed: number;
}

export async function study(
  engine: Engine,
  { recipe, folder, seed }: StudyOptions,
  report: Reporter,
  stop?: AbortSignal,
): Promise<StudyResult> {
  const settings = studySettings(recipe);
  const output_dir = join(folder, 'pretrain');
  const options = parsePretrainOptions({ seed, output_dir, resume: 'auto' }, recipe, report.note);
  await makeFolder(folder, 'study: --output_dir');
  const file = join(folder, 'study.json');
  const result = await kept(file, recipe, seed);
  const part = async (name: string, work: () => Promise<void>): Promise<void> => {
    const began = performance.now();
    if (stop?.aborted) return;
    await work();
    // Of a part that was interrupted, and that the next call goes on with, the time counts, too.
    result.seconds[name] = (result.seconds[name] ?? 0) + Math.round((performance.now() - began) / 1000);
    await writeFileAtomic(file, Buffer.from(`${JSON.stringify(result, null, 1)}\n`));
  };
  const checkpoint = join(output_dir, 'checkpoint.safetensors');
  // Before anything long: what judges at the end must be there, and said without a slip.
  const { val_fraction, val_seed, data_path } = options;
  const labelled = await labelledData(data_path, report.fetching, { asked: { val_fraction, val_seed } });
  const test =
    labelled.test ??
    misuse(`study: ${data_path} has no test images, by which it judges at the end: give it a folder test/`);
  const data: Judged = { ...labelled, test };
  const { finetune: tuning } = settings;
  if (tuning) parseFinetuneOptions({ ...tuning, model: options.model, data_path });
  if (result.heldout_loss === undefined) {
    await part('pretrain', async () => {
      await pretrain(engine, options, report, stop);
      if (stop?.aborted) return;
      result.heldout_loss = await lastHeldout(join(output_dir, 'log.txt'));
    });
  }
  if (stop?.aborted) return result;
  if (!result.rows)
    await part(
      'probe',
      async () => void (result.rows = await probes(engine, checkpoint, data, seed, settings, report)),
    );
  if (tuning && !result.finetune) {
    await part('finetune', async () => {
      const tuned = async (encoder: Encoder): Promise<number> => {
        const from = encoder === 'mae' ? { finetune: checkpoint } : { model: options.model };
        const flags = {
          val_fraction,
          val_seed,
          ...tuning,
          ...from,
          seed,
          data_path: options.data_path,
          output_dir: join(folder, `finetune-${encoder}`),
          resume: 'auto',
          save_freq: 0,
        };
        const made = await finetune(engine, parseFinetuneOptions(flags, undefined, report.note), report, stop);
        return stop?.aborted ? Number.NaN : accuracy(engine, made.checkpoint, data, report);
      };
      const random = await tuned('random');
      const mae = stop?.aborted ? Number.NaN : await tuned('mae');
      if (!stop?.aborted) result.finetune = { random, mae };
    });
  }
  return result;
}

/** What an earlier call has left; of another recipe or seed it is refused. */
async function kept(file: string, recipe: string, seed: number): Promise<StudyResult> {
  const text = await readFile(file, 'utf8').catch(() => null);
  if (text === null) return { recipe, seed, seconds: {} };
  const found = JSON.parse(text) as StudyResult;
  if (found.seed !== seed)
    misuse(`study: ${file} is of seed ${found.seed}, this is seed ${seed}: choose another --output_dir`);
  return found;
}

/** undefined: the recipe keeps none back. */
async function lastHeldout(log: string): Promise<number | undefined> {
  const lines = (await readFile(log, 'utf8')).split('\n').filter(Boolean);
  return (JSON.parse(lines[lines.length - 1]) as { heldout_loss?: number }).heldout_loss;
}

/** Images that have test images, too. */
type Judged = Labels & { readonly test: Dataset };

async function probes(
  engine: Engine,
  checkpoint: string,
  data: Judged,
  seed: number,
  { knn: neighbours, linprobe }: Settings,
  report: Reporter,
): Promise<StudyRow[]> {
  const rows: StudyRow[] = [];
  const slow = tooSlow(data.train.length, linprobe.blrs, linprobe);
  if (slow) report.note(slow);
  for (const encoder of ENCODERS) {
    const opened = await openEncoder(checkpoint);
    const model = modelOf(engine, opened, encoder === 'random' ? seed : undefined);
    const { mean, std } = opened.data;
    const featuresOf = async (dataset: Labels['train']): Promise<Features> => {
      const progress = (done: number, count: number): void =>
        report.fetching(done / count, `features of ${dataset.name}, ${encoder} encoder`);
      const source = await data.source();
      return keptFeatures(engine, model, dataset, { mean, std, source, cache: true, note: report.note, progress });
    };
    const sets = {
      views: [await featuresOf(data.train)],
      val: await featuresOf(data.val),
      test: await featuresOf(data.test),
    };
    const classes = data.classes.length;
    for (const features of ['cls', 'gap'] as const) {
      const bank = chosen(sets.views[0], features);
      const queries = chosen(sets.test, features);
      const found = await knn(
        engine,
        { x: bank.x, labels: sets.views[0].labels },
        { x: queries.x, labels: sets.test.labels },
        bank.dim,
        {
          ks: [neighbours.k],
          temperature: neighbours.temperature,
          classes,
          progress: (done, count) => report.fetching(done / count, `neighbours by ${features}, ${encoder} encoder`),
        },
      );
      const swept = await sweep(engine, sets, {
        ...linprobe,
        choice: features,
        seed,
        classes,
        progress: report.fetching,
      });
      const linear = swept.rows.find(({ best }) => best)?.test?.top1 ?? Number.NaN;
      const effective_rank = await effectiveRank(queries.x, queries.dim);
      rows.push({ encoder, features, knn: found.get(neighbours.k) as number, linear, effective_rank });
    }
  }
  return rows;
}

async function accuracy(engine: Engine, path: string, { test }: Labels, report: Reporter): Promise<number> {
  const { config, weights, data } = await loadClassifier(path);
  const progress = (done: number, count: number): void => report.fetching(done / count, 'test images, fine-tuned');
  const judge = new Judge(engine, new Classifier(engine, config, weights), {
    mean: data.mean,
    std: data.std,
    batchSize: 128,
    progress,
    note: report.note,
  });
  return test ? (await judge.metrics(test)).top1 : Number.NaN;
}

export interface Summary {
  readonly mean: number;
  /** Largest less smallest over the seeds. */
  readonly spread: number;
}

export function summary(values: readonly number[]): Summary {
  return { mean: values.reduce((a, b) => a + b, 0) / values.length, spread: Math.max(...values) - Math.min(...values) };
}
