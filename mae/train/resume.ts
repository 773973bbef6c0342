// Going on from a checkpoint: which one, and whether it fits the flags.
import { access } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Engine } from '../../engine/engine.ts';
import { makeFolder } from '../../engine/node/files.ts';
import { fail } from '../../engine/errors.ts';
import type { Precision } from '../../engine/trace.ts';
import type { Profile } from '../../kernels/kernel.ts';
import type { Picks } from '../../kernels/picks.ts';
import type { Reporter } from './reporter.ts';
import { misuse } from '../usage.ts';
import { isAddress } from '../weights/http.ts';
import { type Checkpoint, loadCheckpoint, loadStanding } from './checkpoint.ts';
import { OPTIONS } from './options.ts';
import { CHANGEABLE, recipeOf } from './recipe.ts';
import { adapterOf } from './restore.ts';
import type { OptionTable } from './table.ts';

/**
 * The recipe of the run that these flags resume, so that none of it has to be said again; {} where there is none. The engine
 * must be opened with its precision.
 * @throws where `profile`, the one asked for, cannot compute in it
 */
export async function recipeToResume(
  resume: string | undefined,
  output_dir: string,
  profile?: Profile,
  load: (path: string) => Promise<Pick<Checkpoint, 'training'>> = (path) => loadStanding(path, 'pretrain'),
): Promise<Record<string, unknown> & { precision?: Precision }> {
  if (!resume) return {};
  const path = resume === 'auto' ? join(output_dir, 'checkpoint.safetensors') : resume;
  if (!isAddress(path) && !(await exists(path))) return {};
  const recipe: Record<string, unknown> & { precision?: Precision } = {
    ...(await load(path)).training?.recipe,
  };
  if (profile === 'matrix' && recipe.precision === 'f32') otherPrecision(path, 'f32', 'f16', profile);
  return recipe;
}

function otherPrecision(path: string, before: unknown, now: Precision, profile: Profile): never {
  const remedy = profile === 'matrix' ? 'leave --profile matrix out' : `give --precision ${before}`;
  const here = profile === 'matrix' ? `profile matrix computes in ${now} only` : `this would go on with ${now}`;
  return fail(`resume: ${path} was trained with ${before}, ${here}; ${remedy}, or choose another --output_dir`);
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** Which of adapter and profile changed. */
function elsewhere(before: string, now: string): string {
  const [was, is] = [before, now].map((text) => text.split(/, profile (?=\w+$)/));
  return was[0] === is[0]
    ? `the profile is ${is[1]} now, it was ${was[1]}`
    : `the adapter is ${now} now, it was ${before}`;
}

type Resumed = Pick<Checkpoint, 'training' | 'optimizer'>;

/** What a command's runs are resumed by. */
interface Resumable<C extends Resumed> {
  readonly command: string;
  readonly table: OptionTable;
  /** Reads a checkpoint with its training state. */
  readonly load: (path: string) => Promise<C>;
}

const PRETRAINING: Resumable<Checkpoint> = {
  command: 'pretrain',
  table: OPTIONS,
  load: (path) => loadCheckpoint(path, { training: true }),
};

/**
 * The checkpoint that --resume names, or with `auto` the one in the output folder if there is any. On the same adapter the
 * engine gets the picks that the run has had so far, whatever was measured since: others would change bits.
 */
export async function findResume<C extends Resumed = Checkpoint>(
  engine: Engine,
  options: Readonly<Record<string, unknown>> & { output_dir: string; resume: string; overwrite: boolean },
  report: Reporter,
  { command, table, load }: Resumable<C> = PRETRAINING as unknown as Resumable<C>,
): Promise<C | null> {
  const latest = join(options.output_dir, 'checkpoint.safetensors');
  const path = options.resume === 'auto' ? latest : options.resume;
  const goesOnHere = path !== '' && resolve(dirname(path)) === resolve(options.output_dir);
  if (goesOnHere && options.overwrite)
    misuse(
      `${command}: --resume ${options.resume} goes on with the run in ${options.output_dir}, --overwrite starts again in its place: give one of them`,
    );
  if (!goesOnHere && !options.overwrite && (await exists(latest))) {
    const remedy = '--resume auto goes on with it, --overwrite puts this one in its place';
    fail(`${command}: --output_dir ${options.output_dir} holds a run already; ${remedy}, or choose another folder`);
  }
  // Before hours of opening data.
  await makeFolder(options.output_dir, `${command}: --output_dir`, undefined, { make: false });
  if (!path) return null;
  if (options.resume === 'auto' && !(await exists(latest))) return null;
  const found = await load(path);
  if (!found.training || !found.optimizer)
    fail(`resume: ${path} holds weights but no training state; start a new run without --resume`);
  for (const [flag, now] of Object.entries(recipeOf(options, engine))) {
    // A file of before there was this option was trained with its default.
    const before = found.training.recipe[flag] ?? table[flag]?.standard ?? null;
    if (JSON.stringify(before) === JSON.stringify(now)) continue;
    // A page has no path of the folder that it trained on.
    if (flag === 'data_path' && before === null) continue;
    if (flag === 'data_path') {
      // On another machine, or moved: how many images there are is held to when they are opened.
      report.note(
        `resume: images are read from ${now}, before from ${before}: the same bits if they are the same images`,
      );
      continue;
    }
    if (flag === 'precision') otherPrecision(path, before, engine.precision, engine.device.traits.profile);
    const change = `--${flag} is ${now ?? 'not given'}, ${path} was trained with ${before ?? 'none'}`;
    if (!CHANGEABLE.has(flag)) fail(`resume: ${change}; leave it out, or choose another --output_dir`);
    report.note(`resume: ${change}: from here on this is another run`);
  }
  const adapter = adapterOf(engine);
  if (found.training.adapter === adapter) {
    const now = engine.picks;
    engine.picks = new Map(Object.entries(found.training.picks));
    if (picksText(now) !== picksText(engine.picks)) {
      const unused = now.size ? `the ${now.size} of now are not used` : '--untuned is not used';
      report.note(`resume: the run keeps its ${engine.picks.size} measured settings of kernels, ${unused}`);
    }
  } else {
    report.note(`resume: ${elsewhere(found.training.adapter, adapter)}; results will not be bit-identical`);
  }
  const { epoch, step } = found.training;
  // As the progress counts them, from 1.
  const place =
    step || !epoch ? `epoch ${epoch + 1}${step ? `, after ${step} of its steps` : ''}` : `after epoch ${epoch}`;
  report.note(`resuming from ${path}: ${place}`);
  // Logs and checkpoints of another folder stay there: this one's begin anew.
  if (goesOnHere) return found;
  return { ...found, training: { ...found.training, logs: {}, numbered: [] } };
}

const picksText = (picks: Picks): string => JSON.stringify([...picks].sort(([a], [b]) => (a < b ? -1 : 1)));
