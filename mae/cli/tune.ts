// `tesserae tune`: the settings of the heavy kernels of a training step measured on this adapter, and kept for later commands.
import type { Command } from 'commander';
import picocolors from 'picocolors';
import { fail } from '../../engine/errors.ts';
import { FileError } from '../../engine/node/files.ts';
import { keepPick, type MeasuredPick, type PickTable } from '../../engine/picks.ts';
import type { Tunable } from '../../engine/tune.ts';
import { whole } from '../train/flags.ts';
import { columns, examples, type Flags, flagsUnder, globalsOf, openEngine, value } from './command.ts';
import { pickFolder } from './picks.ts';
import { addSizes, sizesOf, whatText } from './sizes.ts';

export function define(command: Command): void {
  addSizes(command);
  const option = flagsUnder(command, 'Measuring');
  option('--rounds <N>', 'times that every setting is measured, in turns; at least 5 (default: 5)');
  option('--only <TEXT>', 'shape classes whose name contains this, as attention or EPILOGUE=2');
  option('--again', 'measure what is kept already, too');
  option('--dry_run', 'say what would be measured, and measure nothing');
  option('--list', 'show what is kept, of all adapters, and measure nothing');
  option('--clear', 'forget what is kept, of all adapters, and measure nothing');
  command.addHelpText(
    'after',
    `\nResults are kept by adapter and driver in the cache folder (TESSERAE_CACHE). They go before the kernels' own choice,\nexcept with --untuned; a run that is resumed keeps the settings that it began with, so that its bits do not change.\n${examples(
      ['tesserae tune --model mae_vit_base_patch16 --batch_size 32', 'before a long pretrain with these sizes'],
      ['tesserae tune --list', 'what was gained'],
    )}`,
  );
  command.action(run);
}

const print = (line = ''): void => void process.stdout.write(`${line}\n`);

async function run(flags: Flags, command: Command): Promise<void> {
  if (flags.clear) {
    const tables = await pickFolder()
      .list()
      .catch(() => []);
    await pickFolder().clear();
    return print(
      tables.length
        ? `forgot what was measured on ${tables.length} adapter${tables.length === 1 ? '' : 's'}`
        : 'nothing was kept',
    );
  }
  if (flags.list) return list(await pickFolder().list());
  const sizes = sizesOf(flags);
  const rounds = value(flags, 'rounds', whole(5)) ?? 5;
  // Untuned: what is kept is read below, and is no part of what is measured.
  using engine = await openEngine({ ...globalsOf(command), untuned: true }, { precision: sizes.precision });
  const [{ tunables }, { trialStep }] = await Promise.all([
    import('../../engine/tune.ts'),
    import('../train/trial.ts'),
  ]);
  const { device } = engine;
  const { plan } = trialStep(engine, sizes.config, sizes.batchSize, sizes.maskRatio, sizes.checkpointBlocks);
  print(`${device.adapter.description}, profile ${device.traits.profile}, precision ${engine.precision}`);
  print(whatText(sizes));
  const only = String(flags.only ?? '');
  const all = tunables(plan, device);
  const asked = all.filter((t) => t.shapeClass.includes(only));
  if (!asked.length)
    fail(
      `tune: ${all.length ? `no shape class contains ${only}; --dry_run lists them` : 'no kernel here offers a choice'}`,
    );
  const kept = await keptTable(device.adapter.id);
  const found = flags.again ? asked : asked.filter((t) => !isKept(t, kept));
  if (found.length < asked.length)
    print(`${asked.length - found.length} shape classes skipped: measured before (--again measures them too)`);
  if (!found.length) return;
  if (flags.dry_run) {
    const rows = found.map((t) => [String(t.calls), String(t.offers.length), t.shapeClass]);
    for (const line of columns([['calls', 'settings', 'shape class'], ...rows], [0, 1])) print(line);
    return;
  }
  // Now rather than after minutes: a folder that cannot be written to, and a damaged table that would be in the way.
  await pickFolder().write(kept);
  await measure(engine, found, rounds);
}

/** What is kept of an adapter; an empty table where there is none, or a damaged one. */
async function keptTable(adapter: string): Promise<PickTable> {
  const none: PickTable = { version: 1, adapter, picks: {} };
  return pickFolder()
    .read(adapter)
    .then(
      (table) => table ?? none,
      (error: Error) => {
        if (error instanceof FileError) throw error;
        print('what was kept of this adapter is damaged: its table is begun anew');
        return none;
      },
    );
}

/** Measured, and still among what the variant offers: kernels change. */
function isKept({ shapeClass, offers }: Tunable, { picks }: PickTable): boolean {
  const kept = JSON.stringify(picks[shapeClass]?.knobs);
  return offers.some((knobs) => JSON.stringify(knobs) === kept);
}

async function measure(
  engine: Awaited<ReturnType<typeof openEngine>>,
  found: readonly Tunable[],
  rounds: number,
): Promise<void> {
  const { device } = engine;
  const [{ tune }, { makeReporter }] = await Promise.all([import('../../engine/tune.ts'), import('./progress.ts')]);
  const folder = pickFolder();
  const began = performance.now();
  const gains: Gain[] = [];
  const progress = makeReporter();
  try {
    for (const [i, tunable] of found.entries()) {
      const { shapeClass, calls } = tunable;
      progress.fetching(i / found.length, 'settings measured');
      const pick = await tune(device, tunable, rounds);
      gains.push({ shapeClass, calls, ...pick });
      // Kept after each one: whoever is interrupted goes on from there.
      await keepPick(device, folder, shapeClass, pick);
    }
    progress.fetching(1, 'settings measured');
  } finally {
    progress.finish();
    for (const line of gains.length ? table(gains) : []) print(line);
  }
  const sum = (of: 'own' | 'best'): number => gains.reduce((ms, gain) => ms + gain.calls * gain[of], 0);
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  print(
    `${gains.length} shape classes in ${seconds} s: ${sum('own').toFixed(2)} ms a step by the kernels' own choice, ${sum('best').toFixed(2)} ms with these`,
  );
}

type Gain = MeasuredPick & { readonly shapeClass: string; readonly calls: number };

function table(gains: readonly Gain[]): string[] {
  const head = ['own ms', 'best ms', 'gain', 'calls', 'shape class', 'settings'].map((name) => picocolors.dim(name));
  const rows = gains.map(({ own, best, calls, shapeClass, knobs }) => [
    own.toFixed(3),
    best.toFixed(3),
    best < own ? `${((own / best - 1) * 100).toFixed(0)} %` : '',
    calls ? String(calls) : '',
    shapeClass,
    best < own
      ? Object.entries(knobs)
          .map(([name, x]) => `${name}=${x}`)
          .join(' ')
      : 'its own',
  ]);
  return columns([head, ...rows], [0, 1, 2, 3]);
}

function list(kept: readonly PickTable[]): void {
  const tables = kept.filter(({ picks }) => Object.keys(picks).length > 0);
  if (!tables.length) print('nothing was measured yet: tesserae tune does');
  for (const { adapter, picks } of tables) {
    print(adapter);
    for (const line of table(Object.entries(picks).map(([shapeClass, pick]) => ({ shapeClass, calls: 0, ...pick }))))
      print(`  ${line}`);
  }
}
