// The commands of `tesserae`: finds the one that is asked for, and loads its file alone.
import { Command, CommanderError } from 'commander';
import { misuse, suggestion } from '../usage.ts';
import { VERSION } from '../version.ts';
import { type CommandFile, examples } from './command.ts';
import { oneOutput, refuseNegation, underscored } from './flagnames.ts';
import type { Watched } from './timings.ts';

interface Entry {
  readonly summary: string;
  readonly group: string;
  readonly load: () => Promise<CommandFile>;
}

const TRAIN = 'Train and look:';
const JUDGE = 'Judge what was learned:';
const USE = 'Take it further:';
const CHECK = 'Check and measure:';

const COMMANDS: Readonly<Record<string, Entry>> = {
  quickstart: {
    group: TRAIN,
    summary: 'fetch CIFAR-10, pretrain a small MAE on it, show what it learned (npm start)',
    load: () => import('./quickstart.ts'),
  },
  pretrain: {
    group: TRAIN,
    summary: 'pretrain a masked autoencoder on your images',
    load: () => import('./pretrain.ts'),
  },
  plan: {
    group: TRAIN,
    summary: 'what pretraining would cost here: memory, work, time, and the largest batch that fits',
    load: () => import('./plan.ts'),
  },
  reconstruct: {
    group: TRAIN,
    summary: 'let a checkpoint rebuild images; writes a picture',
    load: () => import('./reconstruct.ts'),
  },
  attention: {
    group: TRAIN,
    summary: 'show where an encoder looks: heads, layers and rollout; writes a picture',
    load: () => import('./attention.ts'),
  },
  study: {
    group: TRAIN,
    summary: 'carry a recipe through: pretrain, probe and fine-tune, beside a random encoder',
    load: () => import('./study.ts'),
  },
  linprobe: {
    group: JUDGE,
    summary: 'train a linear head on the frozen encoder: the number that papers give',
    load: () => import('./linprobe.ts'),
  },
  finetune: {
    group: TRAIN,
    summary: 'train a pretrained encoder and a head on labelled images',
    load: () => import('./finetune.ts'),
  },
  eval: {
    group: JUDGE,
    summary: 'top-1, top-5, loss and confusion of a classifier',
    load: () => import('./eval.ts'),
  },
  classify: {
    group: JUDGE,
    summary: 'what a classifier takes images for',
    load: () => import('./classify.ts'),
  },
  knn: {
    group: JUDGE,
    summary: 'classify by the nearest training images; trains nothing',
    load: () => import('./knn.ts'),
  },
  features: {
    group: USE,
    summary: 'what the encoder knows of every image of a folder or set, into a file',
    load: () => import('./features.ts'),
  },
  onnx: {
    group: USE,
    summary: 'export a model to ONNX: the encoder, the classifier, the whole autoencoder',
    load: () => import('./onnx.ts'),
  },
  compare: {
    group: JUDGE,
    summary: 'overlay the curves of runs and say where they part',
    load: () => import('./compare.ts'),
  },
  report: {
    group: TRAIN,
    summary: 'one page on a run: curves, reconstructions through time, throughput, kernels',
    load: () => import('./report.ts'),
  },
  dashboard: {
    group: TRAIN,
    summary: 'watch runs in a browser, one or several over one another, while they train and afterwards',
    load: () => import('./dashboard.ts'),
  },
  data: {
    group: TRAIN,
    summary: 'list the sets that have a name, fetch one, or describe your own',
    load: () => import('./data.ts'),
  },
  convert: {
    group: USE,
    summary: 'weights of facebookresearch/mae, Hugging Face, timm and our own: what they are, and into one another',
    load: () => import('./convert.ts'),
  },
  doctor: {
    group: CHECK,
    summary: 'adapter, features, limits, and a self-check of the kernels',
    load: () => import('./doctor.ts'),
  },
  run: {
    group: USE,
    summary: 'run a program of your own on the engine',
    load: () => import('./run.ts'),
  },
  conformance: {
    group: CHECK,
    summary: 'recompute a case of an independent implementation and compare',
    load: () => import('./conformance.ts'),
  },
  tune: {
    group: CHECK,
    summary: 'measure which settings of the heavy kernels are fastest here; later commands use them',
    load: () => import('./tune.ts'),
  },
  bench: {
    group: CHECK,
    summary: 'measure a training step, its kernels, other libraries beside it, or all that a GPU needs',
    load: () => import('./bench.ts'),
  },
};

function makeProgram(): Command {
  const program = new Command('tesserae')
    .description('Masked autoencoders (MAE) on hand-written WebGPU kernels, on a GPU or none.')
    .usage('COMMAND [flags]')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this, or the help of a command')
    .helpCommand(false)
    .optionsGroup('Flags of every command:')
    .option(
      '--profile <NAME>',
      'kernels for software adapters (cpu), any GPU (simt) or subgroup matrices, as tensor cores (matrix, in f16); chosen by the adapter and --precision unless said',
    )
    .option('--untuned', 'kernels with their own choice of settings, not with what tesserae tune measured')
    .option('--unchecked', "without Dawn's checks of bounds and calls: a few per cent faster on a GPU")
    .option('--adapter <NAME>', 'part of the name of a WebGPU adapter, or software, lavapipe, swiftshader, system')
    .option('--timings', 'at the end, the time of every kernel and of the host (on stderr)')
    .option('--trace <FILE>', 'write a trace of host and GPU, as JSON for ui.perfetto.dev')
    .configureHelp({
      showGlobalOptions: true,
      styleTitle: (title) => (title === 'Global Options:' ? 'Flags of every command:' : title),
      visibleGlobalOptions: (command) =>
        command.parent ? rootOf(command).options.filter((o) => o.long !== '--version') : [],
    })
    .configureOutput({ writeErr: () => {} })
    .exitOverride();
  program.addHelpText(
    'after',
    examples(
      ['tesserae quickstart', 'everything from nothing: data, training, pictures, in some minutes'],
      [
        'tesserae pretrain --data_path photos --model mae_vit_small_patch16 --output_dir runs/photos',
        'your own images',
      ],
      [
        'tesserae COMMAND --help',
        'what a command takes; flags may be written with dashes or underscores, and --output, --output_dir and --out are one',
      ],
    ),
  );
  return program;
}

function rootOf(command: Command): Command {
  return command.parent ? rootOf(command.parent) : command;
}

const OWN = ['--profile', '--adapter', '--untuned', '--unchecked', '--timings', '--trace', '--help', '--version'];

/** The first word that is no flag and no flag's value. */
function commandOf(argv: readonly string[]): string | undefined {
  for (let i = 0; i < argv.length; i++) {
    const [name] = argv[i].split('=', 1);
    if (!name.startsWith('-')) return name;
    if (name.startsWith('--') && !OWN.includes(name)) misuse(`unknown option ${name}${suggestion(name, OWN)}`);
    if (['--profile', '--adapter', '--trace'].includes(argv[i])) i++;
  }
  return undefined;
}

/** Every command with its flags and its own commands: what documents are held to. */
export async function wholeProgram(): Promise<Command> {
  const program = makeProgram();
  for (const [key, { load }] of Object.entries(COMMANDS)) (await load()).define(program.command(key));
  return program;
}

/** Runs a command line, without the program's name. Throws what `explain` (explain.ts) words. */
export async function run(given: readonly string[]): Promise<void> {
  const program = makeProgram();
  let argv = given[0] === 'help' ? [...given.slice(1), '--help'] : given;
  const name = commandOf(argv);
  // What a program of the user's own is given is not ours to rewrite.
  if (name !== 'run') argv = underscored(argv);
  if (name !== undefined && !Object.hasOwn(COMMANDS, name)) {
    misuse(
      `${name} is no command${suggestion(name, Object.keys(COMMANDS)) || `; there are ${Object.keys(COMMANDS).join(', ')}`}`,
    );
  }
  for (const [key, { summary, group, load }] of Object.entries(COMMANDS)) {
    const command = program.command(key).summary(summary).description(summary).helpGroup(group);
    command.helpOption('-h, --help', 'print this');
    if (key !== name) continue;
    (await load()).define(command);
    argv = oneOutput(argv, command);
  }
  if (argv.length === 0) argv = ['--help'];
  else if (name === undefined && !argv.some((arg) => /^(-h|--help|-V|--version)$/.test(arg))) {
    misuse('a command is missing; tesserae --help lists them');
  }
  let finish = async (): Promise<void> => {};
  program.hook('preAction', async (_, { args }) => {
    if (name !== 'run' && args.includes(''))
      misuse(`${name}: an argument is empty: is a variable of your shell not set?`);
    const { timings, trace }: Watched = program.opts();
    if (timings || trace !== undefined) finish = (await import('./timings.ts')).watch({ timings, trace });
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) refuseNegation(program, error);
    throw error;
  } finally {
    await finish();
  }
}
