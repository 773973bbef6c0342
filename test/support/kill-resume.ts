// Kills a small training run without warning, resumes it, and compares what it leaves with an uninterrupted run.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSafetensors } from '../../engine/safetensors.ts';
import type { Precision } from '../../engine/trace.ts';
import { type Random, random } from '../../kernels/random/random.ts';
import { loadCheckpoint, saveCheckpoint } from '../../mae/train/checkpoint.ts';
import type { LossScaleState } from '../../mae/train/modelfile.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const IMAGES_PER_FILE = 32;
const EPOCHS = 2;
/** Wide enough that writing a checkpoint takes a while, short enough in everything else. */
const FLAGS = [
  '--model',
  'mae_vit_nano_patch4_32',
  '--embed_dim',
  '96',
  '--depth',
  '1',
  '--decoder_depth',
  '1',
  '--batch_size',
  '8',
  '--accum_iter',
  '2',
  '--epochs',
  String(EPOCHS),
  '--warmup_epochs',
  '0.5',
  '--heldout',
  '8',
  '--save_steps',
  '1',
  '--save_freq',
  '1000',
  '--dropout',
  '0.1',
];

/** All that a step can hold besides. */
const HALF = ['--precision', 'f16', '--clip_grad', '1', '--checkpoint_blocks'];
/** So far above what f16 holds that the first steps overflow, whatever the images: the scale has moved before the run ends. */
const TOO_HIGH = 2 ** 34;

/** A folder in the form of CIFAR-10's binary files, filled with noise. */
export function fakeCifar(folder: string, seed: number): void {
  const rng = random(seed);
  mkdirSync(folder, { recursive: true });
  for (const name of [...[1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`), 'test_batch.bin']) {
    const bytes = Uint8Array.from({ length: IMAGES_PER_FILE * 3073 }, (_, i) =>
      i % 3073 === 0 ? rng.below(10) : rng.below(256),
    );
    writeFileSync(join(folder, name), bytes);
  }
}

interface Left {
  /** Of every tensor: weights, moments, step counter, loss scale. */
  readonly tensors: string;
  readonly log: string;
}

/** Of all tensors of a checkpoint, in order. */
export function hashOf(checkpoint: string): string {
  const { tensors } = parseSafetensors(readFileSync(checkpoint), { requireChecksums: true });
  const hash = createHash('sha256');
  for (const [name, { data }] of tensors) hash.update(name).update(data);
  return hash.digest('hex');
}

export const whatIsLeft = (folder: string): Left => ({
  tensors: hashOf(join(folder, 'checkpoint.safetensors')),
  log: readFileSync(join(folder, 'log.txt'), 'utf8'),
});

function start({ data, flags }: Training, output: string): ChildProcess {
  const node = process.env.TESSERAE_NODE ?? process.execPath;
  const args = [
    '--import',
    './tools/register.mjs',
    'mae/cli/main.ts',
    'pretrain',
    '--data_path',
    data,
    '--output_dir',
    output,
    '--resume',
    'auto',
    ...FLAGS,
    ...flags,
  ];
  return spawn(node, args, { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] });
}

const ended = (child: ChildProcess): Promise<{ code: number | null; stderr: string }> => {
  let stderr = '';
  child.stderr?.on('data', (chunk) => (stderr += chunk));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stderr })));
};

async function complete(training: Training, output: string): Promise<Left> {
  const { code, stderr } = await ended(start(training, output));
  if (code !== 0) throw new Error(`training ended with ${code}:\n${stderr}`);
  return whatIsLeft(output);
}

/** Kills the run in its n-th save: while the temporary file is there, so that the save is half done. */
async function killInSave(training: Training, output: string, save: number): Promise<boolean> {
  const child = start(training, output);
  let seen = 0;
  const names = new Set<string>();
  const watcher = watch(output, (_, name) => {
    if (!name?.endsWith('.tmp') || names.has(name)) return;
    names.add(name);
    if (++seen === save) child.kill('SIGKILL');
  });
  await ended(child);
  watcher.close();
  return readdirSync(output).some((name) => name.endsWith('.tmp'));
}

/** @returns whether it was killed: a quick run may end first. */
async function killAfter(training: Training, output: string, ms: number): Promise<boolean> {
  const child = start(training, output);
  const timer = setTimeout(() => child.kill('SIGKILL'), ms);
  await ended(child);
  clearTimeout(timer);
  return child.signalCode === 'SIGKILL';
}

interface Training {
  readonly data: string;
  readonly flags: readonly string[];
  /** The folder that every run begins from. */
  readonly begun: string;
}

/** A run in f16 that begins from the weights of one in f32, with a loss scale under which its first steps overflow. */
async function beginHalf(from: string, begun: string): Promise<void> {
  const checkpoint = await loadCheckpoint(join(from, 'checkpoint.safetensors'), { training: true });
  const { optimizer, training } = checkpoint;
  if (!optimizer || !training) throw new Error(`${from} has no training state`);
  const recipe = { ...training.recipe, precision: 'f16', clip_grad: 1 };
  await saveCheckpoint(join(begun, 'checkpoint.safetensors'), {
    ...checkpoint,
    optimizer: { ...optimizer, lossScale: { scale: TOO_HIGH, good: 0, skipped: 0 } },
    training: { ...training, recipe, epoch: 0, step: 0, lossSum: 0, logs: {} },
  });
}

interface KillReport {
  readonly insideSave: number;
  readonly identical: number;
  /** Where the loss scale of the uninterrupted run stood at its end. */
  readonly lossScale: LossScaleState | null;
  /** Steps of it that changed the weights. */
  readonly updates: number;
}

/**
 * So many kills of each kind at random points, the even ones aimed inside a save; each followed by a resume to the end. What
 * the uninterrupted run in f32 left is what those in f16 begin from.
 */
export async function killAndResume(
  rounds: Readonly<Record<Precision, number>>,
  seed: number,
  say: (line: string) => void,
): Promise<Record<Precision, KillReport>> {
  const home = mkdtempSync(join(tmpdir(), 'tesserae-kill-'));
  const rng = random(seed);
  try {
    const data = join(home, 'data');
    fakeCifar(data, seed);
    const kind = (name: Precision, flags: readonly string[]): Training => {
      const begun = join(home, name, 'begun');
      mkdirSync(begun, { recursive: true });
      return { data, flags, begun };
    };
    const [plain, half] = [kind('f32', []), kind('f16', HALF)];
    const f32 = await killRounds(plain, rounds.f32, rng, say);
    await beginHalf(join(plain.begun, '../whole'), half.begun);
    return { f32, f16: await killRounds(half, rounds.f16, rng, say) };
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

async function killRounds(
  training: Training,
  rounds: number,
  rng: Random,
  say: (line: string) => void,
): Promise<KillReport> {
  const fresh = (name: string): string => {
    const output = join(training.begun, '..', name);
    rmSync(output, { recursive: true, force: true });
    cpSync(training.begun, output, { recursive: true });
    return output;
  };
  const whole = fresh('whole');
  const began = performance.now();
  const want = await complete(training, whole);
  const duration = performance.now() - began;
  const { optimizer } = await loadCheckpoint(join(whole, 'checkpoint.safetensors'), { training: true });
  const what = training.flags.join(' ') || 'f32';
  say(`${what}, uninterrupted: ${(duration / 1000).toFixed(1)} s, tensors ${want.tensors.slice(0, 12)}`);
  const steps = Math.floor((5 * IMAGES_PER_FILE - 8) / 16) * EPOCHS;
  let [insideSave, identical] = [0, 0];
  for (let round = 0; round < rounds; round++) {
    const output = fresh('killed');
    let inside = false;
    if (round % 2 === 0) inside = await killInSave(training, output, 1 + rng.below(steps));
    else while (!(await killAfter(training, output, duration * (0.3 + 0.6 * rng.uniform())))) fresh('killed');
    const got = await complete(training, output);
    const same = got.tensors === want.tensors && got.log === want.log;
    const stray = readdirSync(output).filter((name) => name.endsWith('.tmp'));
    if (inside) insideSave++;
    if (same && stray.length === 0) identical++;
    say(
      `kill ${round + 1}: ${inside ? 'inside a save' : 'anywhere'}, after resume ${same ? 'bit-identical' : 'DIFFERENT'}${stray.length ? `, left ${stray}` : ''}`,
    );
  }
  return { insideSave, identical, lossScale: optimizer?.lossScale ?? null, updates: optimizer?.step ?? 0 };
}
