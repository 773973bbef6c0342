// `tesserae bench peers` and `tesserae bench report`: other libraries beside this engine, and the page of the results.
import { type Command, Option } from 'commander';
import { whole } from '../train/flags.ts';
import { misuse } from '../usage.ts';
import { loadBench, needsClone, showStanding } from './benchreport.ts';
import { examples, type Flags, globalsOf, value } from './command.ts';

export interface PeersRequest {
  /** Names of peers, and parts of names of work; all where empty. */
  readonly only: readonly string[];
  readonly work: readonly string[];
  readonly rounds: number;
  readonly stepRounds: number;
  /** Seconds that one answer may take. */
  readonly timeout: number;
  /** Installs nothing. */
  readonly offline: boolean;
  /** The result is to be kept. */
  readonly save: boolean;
  readonly profile?: string;
  /** Ours without measured settings. */
  readonly untuned: boolean;
  /** As the user typed it, for the record. */
  readonly command: string;
  readonly say: (line: string) => void;
  /** What goes on now; '' ends it. */
  readonly progress: (what: string) => void;
}

/** What bench/peers/bench.ts exports; bench sees mae and not the other way round. `Report` is its own affair. */
export interface PeersBench<Report = object> {
  listPeers(): string[];
  benchPeers(request: PeersRequest): Promise<Report>;
  saveReport(report: Report): string;
}

/** What bench/report.ts exports. */
interface ReportBench {
  /** Rewrites the page and the plot of the kept results. @returns the files that it wrote */
  writeReport(): Promise<string[]>;
}

const load = <T>(path: string): Promise<T> => {
  needsClone(path === 'report' ? 'bench report' : 'bench peers');
  return loadBench(path);
};

const print = (line: string): void => void process.stdout.write(`${line}\n`);

/** Adds both to `tesserae bench`. */
export function definePeers(bench: Command): void {
  const option = (flags: string, help: string) => new Option(flags, help).helpGroup('Measuring:');
  bench
    .command('peers')
    .description('other libraries on the same work, turn by turn in one run (installs them on first use)')
    .helpOption('-h, --help', 'print this')
    .addOption(
      option('--only <NAMES>', 'peers whose name is, or contains, one of these, with commas between (default: all)'),
    )
    .addOption(option('--work <NAMES>', 'work whose name has one of these parts, as gemm,step (default: all)'))
    .addOption(option('--rounds <N>', 'turns of each (default: 5, of the training step 3)'))
    .addOption(option('--timeout <N>', 'seconds that one answer may take, compilation included (default: 600)'))
    .addOption(option('--offline', 'leave out what is not installed'))
    .addOption(option('--save', 'keep the result, which must be a whole one, under bench/results'))
    .addOption(option('--list', 'print the peers and the work, run nothing'))
    .addHelpText(
      'after',
      examples(
        ['tesserae bench peers --list', 'what there is'],
        ['tesserae bench peers --only onnxruntime-webgpu --work gemm', 'one peer, the matrix products'],
        ['tesserae bench peers --save', 'everything; then tesserae bench report for the page'],
      ),
    )
    .action(runPeers);
  bench
    .command('report')
    .description('rewrite the tables and the plot of bench/README.md from the kept results')
    .helpOption('-h, --help', 'print this')
    .action(async () => {
      const { writeReport } = await load<ReportBench>('report');
      for (const path of await writeReport()) print(path);
    });
}

async function runPeers(flags: Flags, command: Command): Promise<void> {
  const { listPeers, benchPeers, saveReport } = await load<PeersBench>('peers/bench');
  if (flags.list) {
    for (const line of listPeers()) print(line);
    return;
  }
  const names = (flag: string) =>
    String(flags[flag] ?? '')
      .split(',')
      .filter(Boolean);
  const rounds = value(flags, 'rounds', whole(1));
  const { profile, untuned = false } = globalsOf(command);
  if (profile === 'matrix')
    misuse('bench peers: --profile matrix multiplies in f16 and the peers in f32: take simt or cpu, or leave it out');
  const report = await benchPeers({
    only: names('only'),
    work: names('work'),
    rounds: rounds ?? 5,
    stepRounds: rounds ?? 3,
    timeout: value(flags, 'timeout', whole(1)) ?? 600,
    offline: flags.offline === true,
    save: flags.save === true,
    profile,
    untuned,
    command: ['tesserae', ...process.argv.slice(2)].join(' '),
    say: print,
    progress: showStanding,
  });
  if (flags.save) print(`kept in ${saveReport(report)}`);
}
