// `tesserae bench gpu`: the one command for a machine with a GPU, and what its flags mean.
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { reasonOf } from '../../engine/node/file-errors.ts';
import { PRECISIONS, type Precision } from '../../engine/trace.ts';
import type { Profile } from '../../kernels/kernel.ts';
import { real, text } from '../train/flags.ts';
import { misuse, suggestion } from '../usage.ts';
import { fileOf, moduleOf, versionIn } from '../root.ts';
import { loadBench, needsClone } from './benchreport.ts';
import { examples, type Flags, type Globals, globalsOf, value } from './command.ts';

/** Which measured settings the kernels run with: this machine's own before those that ship, these alone, or none. */
export type GpuPicks = 'measured here, then shipped' | 'shipped' | 'none';

export interface GpuOptions {
  readonly picks: GpuPicks;
  /** Small sizes and few cases: seconds a part, for software adapters and tests. */
  readonly quick: boolean;
  /** Time for everything. */
  readonly minutes: number;
  /** A folder with conformance cases, or null. */
  readonly golden: string | null;
  readonly precisions: readonly Precision[];
  /** Models and batches of the training steps to time and to profile; all where they are empty. */
  readonly models: readonly string[];
  readonly batches: readonly number[];
  /** The only profile to check and to time, or null for all that fit. */
  readonly profile: Profile | null;
  /** Part of an adapter's name, or null for the first. */
  readonly adapter: string | null;
  /** Kinds of parts to run; all where it is empty. */
  readonly only: readonly string[];
  /** Where PyTorch runs: its device, and the interpreter that has it. */
  readonly torch: 'cuda' | 'cpu' | 'off';
  readonly python: string;
  /** A result whose figures of PyTorch stand in for those of this run, or null. */
  readonly torch_from: string | null;
}

/** What bench/gpu/bench.ts exports; `around` is what it cannot import, or what a bundle holds in another way. */
export interface GpuBench {
  readonly KINDS: readonly string[];
  /** @returns the exit code: 0 where every part ended well and every check passed */
  benchGpu(
    options: GpuOptions,
    around: {
      harness: () => Promise<unknown>;
      torchScripts: () => Promise<Readonly<Record<string, string>>>;
      version: string;
      /** Where the results go, as JSON. */
      out: string;
    },
  ): Promise<number>;
}

interface GpuSources {
  /** There is a cache folder, in which `tesserae tune` keeps what it measured. */
  readonly cache: boolean;
  readonly bench: () => Promise<GpuBench>;
  readonly harness: () => Promise<unknown>;
  /** The Python files of bench/gpu, by name. */
  readonly torchScripts: () => Promise<Readonly<Record<string, string>>>;
  readonly version: () => Promise<string>;
}

const TORCH_SCRIPTS = ['torch_step.py', 'torch_model.py'];
const TORCH = ['cuda', 'cpu', 'off'] as const;
const MODELS = ['ViT-B', 'ViT-L', 'ViT-H', 'ViT-Ti', 'ViT-nano'];
const BATCHES = [64, 256, 1024];

/** bench sees mae and not the other way round, so its files, and the tests' harness, are found at run time. */
const CLONE: GpuSources = {
  cache: true,
  bench: async () => {
    needsClone('bench gpu');
    return loadBench('gpu/bench');
  },
  harness: () => import(moduleOf('test/support/kernel-run')),
  torchScripts: async () => {
    const read = async (name: string) => [name, await readFile(fileOf(`bench/gpu/${name}`), 'utf8')] as const;
    return Object.fromEntries(await Promise.all(TORCH_SCRIPTS.map(read)));
  },
  version: async () => versionIn(fileOf('package.json')),
};

/** Adds `gpu` to `tesserae bench`. */
export const defineGpu = (parent: Command): void => addGpu(parent.command('gpu'), CLONE);

/** Adds the flags and the action to a command. */
export function addGpu(command: Command, sources: GpuSources): void {
  command
    .description('kernels, ceilings, training steps and PyTorch beside them, on a machine with a GPU')
    .helpOption('-h, --help', 'print this')
    .addOption(new Option('--output <FILE>', 'results as JSON (default: gpu.json)'))
    .addOption(new Option('--out <FILE>').hideHelp())
    .addOption(new Option('--minutes <X>', 'time for everything (default: 5)'))
    .addOption(new Option('--quick', 'small sizes and few cases, for a software adapter'))
    .addOption(new Option('--golden <DIR>', 'recompute the conformance cases (.safetensors) of a folder too'))
    .addOption(new Option('--precisions <LIST>', `of ${PRECISIONS.join(', ')} (default: all)`))
    .addOption(new Option('--models <LIST>', `of whose steps to time, of ${MODELS.join(', ')} (default: all)`))
    .addOption(new Option('--batches <LIST>', `of their steps, of ${BATCHES.join(', ')} (default: all)`))
    .addOption(new Option('--only <LIST>', 'kinds of parts, a comma between them (default: all)'))
    .addOption(new Option('--torch <WHERE>', `PyTorch beside ours, on ${TORCH.join(', ')} (default: cuda)`))
    .addOption(new Option('--python <PROGRAM>', 'the interpreter that has it (default: python3)'))
    .addOption(
      new Option(
        '--torch_from <FILE>',
        "an earlier result on the same card: PyTorch's figures of that, but one that is taken again",
      ),
    )
    .addHelpText(
      'after',
      `\nEvery part is a process of its own with a limit of time; one that hangs or crashes is told and the rest goes on. The\nresults are on disk after each. Exit code 1 where a check or a part failed, or nothing could be checked.\n${examples(
        ['tesserae bench gpu --output h200.json', 'everything, on the first adapter'],
        ['tesserae bench gpu --quick --torch off --only tests,step', 'a try without a GPU'],
      )}`,
    )
    .action(async (flags: Flags, self: Command) => {
      const bench = await sources.bench();
      const globals = globalsOf(self);
      const { harness, torchScripts } = sources;
      // In a bundle nobody makes the two one before.
      if (flags.out !== undefined && flags.output !== undefined) misuse('--out and --output mean the same: keep one');
      const out = value(flags, 'output', text('FILE')) ?? value(flags, 'out', text('FILE')) ?? 'gpu.json';
      const picks = globals.untuned ? 'none' : sources.cache ? 'measured here, then shipped' : 'shipped';
      process.exitCode = await bench.benchGpu(
        { picks, ...optionsOf(flags, globals, bench.KINDS) },
        {
          harness,
          torchScripts,
          version: await sources.version(),
          out,
        },
      );
    });
}

/** A folder with cases in it, which is told before the first part has run. */
function goldenIn(flags: Flags): string | null {
  const folder = value(flags, 'golden', text('DIR')) ?? null;
  if (folder === null) return null;
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    return misuse(`--golden ${folder}: ${reasonOf(error, { absent: 'name a folder of conformance cases' })}`);
  }
  if (!names.some((name) => name.endsWith('.safetensors'))) misuse(`--golden ${folder} holds no .safetensors case`);
  return folder;
}

function optionsOf(flags: Flags, { profile, adapter }: Globals, kinds: readonly string[]): Omit<GpuOptions, 'picks'> {
  const list = (name: string, all: readonly string[]): string[] => {
    const given = value(flags, name, text('LIST'))?.split(',') ?? [];
    const wrong = given.find((one) => !all.includes(one));
    if (wrong !== undefined)
      misuse(`--${name}: there is no ${wrong}${suggestion(wrong, all) || `; there are ${all.join(', ')}`}`);
    return given;
  };
  const torch = value(flags, 'torch', text('WHERE')) ?? 'cuda';
  if (!(TORCH as readonly string[]).includes(torch)) misuse(`--torch must be one of ${TORCH.join(', ')}, got ${torch}`);
  const precisions = list('precisions', PRECISIONS) as Precision[];
  return {
    quick: Boolean(flags.quick),
    minutes: value(flags, 'minutes', real({ open: true })) ?? 5,
    golden: goldenIn(flags),
    precisions: precisions.length ? precisions : PRECISIONS,
    models: list('models', MODELS),
    batches: list('batches', BATCHES.map(String)).map(Number),
    profile: profile ?? null,
    // A launcher that started this process has already turned the name into an environment and a Dawn adapter.
    adapter: process.env.TESSERAE_ADAPTER_KIND ? null : (adapter ?? null),
    only: list('only', kinds),
    torch: torch as GpuOptions['torch'],
    python: value(flags, 'python', text('PROGRAM')) ?? 'python3',
    torch_from: value(flags, 'torch_from', text('FILE')) ?? null,
  };
}
