// `tesserae doctor`: what this machine offers, whether the kernels compute the right numbers on it, and what to do if not.
import { createRequire } from 'node:module';
import { availableParallelism, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import picocolors from 'picocolors';
import type { Device } from '../../engine/device.ts';
import { TesseraeError } from '../../engine/errors.ts';
import { versionIn } from '../root.ts';
import { UsageError } from '../usage.ts';
import { VERSION } from '../version.ts';
import { bytesText } from '../bytes.ts';
import { columns, examples, type Flags, type Globals, globalsOf, openEngine } from './command.ts';
import type { KernelCheck } from './selfcheck.ts';

const { bold, dim, green, red, yellow } = picocolors;

export function define(command: Command): void {
  command
    .option('--quick', 'no figures of speed')
    .addHelpText(
      'after',
      examples(
        ['tesserae doctor', 'exit code 1 where something is wrong'],
        ['tesserae doctor --profile simt --adapter lavapipe', 'the kernels for any GPU, on a software adapter'],
      ),
    )
    .action(run);
}

const say = (line = ''): void => void process.stdout.write(`${line}\n`);

function section(title: string, rows: readonly (readonly [name: string, value: string])[]): void {
  say(bold(title));
  for (const line of columns(rows.map(([name, text]) => [`  ${dim(name)}`, text]))) say(line);
  say();
}

async function run(flags: Flags, command: Command): Promise<void> {
  const globals = globalsOf(command);
  section('Machine', machine());
  let engine: Awaited<ReturnType<typeof openEngine>>;
  try {
    engine = await openEngine(globals);
  } catch (error) {
    if (error instanceof UsageError || !(error instanceof TesseraeError)) throw error;
    throw new TesseraeError(
      `no device could be opened (${error.message}); run npm run setup, or choose another with --adapter`,
    );
  }
  using opened = engine;
  section('Adapter', adapter(opened.device));
  section('Device', device(opened.device, globals));
  const wrong = await selfCheck(engine);
  if (!flags.quick && !wrong.length) await figures(engine);
  if (wrong.length === 0) return say(green('Everything is right.'));
  say(red(`${wrong.length} of the checks failed: ${wrong.join(', ')}.`));
  say(`What to do: ${remedy(opened.device)}.`);
  process.exitCode = 1;
}

const machine = (): [string, string][] => [
  ['tesserae', VERSION],
  ['node', `${process.version} on ${process.platform} ${process.arch}`],
  ['dawn', `npm webgpu ${versionIn(join(dirname(createRequire(import.meta.url).resolve('webgpu')), 'package.json'))}`],
  ['host', `${availableParallelism()} cores, ${bytesText(totalmem())} of memory`],
];

function adapter({ adapter: { vendor, architecture, description, software } }: Device): [string, string][] {
  const kind = process.env.TESSERAE_ADAPTER_KIND;
  const chosen: [string, string][] = kind ? [['chosen', `${kind}: ${process.env.TESSERAE_ADAPTER_LABEL ?? ''}`]] : [];
  return [
    ['name', description || architecture],
    ['vendor', `${vendor || 'unknown'}${architecture ? `, ${architecture}` : ''}`],
    ['kind', software ? 'software: computes on the CPU' : 'GPU'],
    ...chosen,
  ];
}

function device({ gpu, traits, adapter: { software } }: Device, { profile }: Globals): [string, string][] {
  const { subgroupMinSize: min, subgroupMaxSize: max, features } = traits;
  const yes = (name: string, detail = ''): string => (features.has(name) ? green('yes') + detail : yellow('no'));
  const sizes = min === max ? `of ${min}` : `of ${min} to ${max}`;
  const why =
    profile !== undefined
      ? 'asked for by --profile'
      : traits.profile === 'cpu'
        ? `a software adapter with subgroups ${sizes}`
        : software
          ? 'a software adapter without subgroups of one size'
          : 'a GPU';
  const { limits } = gpu;
  return [
    ['profile', `${bold(traits.profile)} (${why})`],
    ['subgroups', yes('subgroups', ` (${sizes})`)],
    ['f16', yes('shader-f16')],
    ['subgroup matrices', yes('chromium-experimental-subgroup-matrix')],
    ['timestamps', yes('timestamp-query')],
    [
      'largest buffer',
      `${bytesText(limits.maxBufferSize)}, ${bytesText(limits.maxStorageBufferBindingSize)} of it bound at once`,
    ],
    [
      'workgroup',
      `${limits.maxComputeInvocationsPerWorkgroup} invocations, ${bytesText(limits.maxComputeWorkgroupStorageSize)} of shared memory`,
    ],
  ];
}

/** Names of the kernels that are wrong. */
async function selfCheck(engine: Parameters<typeof figures>[0]): Promise<string[]> {
  const { checkKernels } = await import('./selfcheck.ts');
  say(bold('Kernels against their f64 references'));
  const seed = Date.now() % 2 ** 31;
  const bad: KernelCheck[] = [];
  let count = 0;
  let problems = 0;
  const live = process.stderr.isTTY;
  for await (const check of checkKernels(engine, seed)) {
    count++;
    problems += check.problems;
    if (check.failure !== null || !(check.error <= 1)) bad.push(check);
    if (live) process.stderr.write(`\r\x1b[K  ${dim(`${count}: ${check.kernel}`)}`);
  }
  if (live) process.stderr.write('\r\x1b[K');
  for (const { kernel, profiles, error, failure } of bad) {
    say(
      `  ${red('wrong')}  ${kernel} (${profiles.join(', ')}): ${failure ?? `error ${error.toPrecision(3)} times its tolerance`}`,
    );
  }
  say(
    `  ${count - bad.length ? green('right') : ''}  ${count - bad.length} of ${count} kernels, on ${problems} problems with random inputs (seed ${seed})`,
  );
  say();
  return bad.map((b) => b.kernel);
}

async function figures(engine: Awaited<ReturnType<typeof openEngine>>): Promise<void> {
  const { measure } = await import('./selfcheck.ts');
  const { copyBytesPerSecond, gemmFlops, gemmSide } = await measure(engine);
  section('Speed, roughly', [
    ['copy', `${(copyBytesPerSecond / 1e9).toFixed(1)} GB/s read and written`],
    ['gemm', `${(gemmFlops / 1e9).toFixed(1)} GFLOP/s at ${gemmSide} x ${gemmSide} x ${gemmSide} in f32`],
  ]);
}

function remedy({ traits: { profile }, adapter: { software } }: Device): string {
  const other = profile === 'simt' ? '' : 'try --profile simt; ';
  return software
    ? `${other}set the software adapter up anew (npm run setup), or use another with --adapter`
    : `${other}update the graphics driver; until then use --adapter software`;
}
