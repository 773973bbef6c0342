// `tesserae dashboard RUN…`: runs in a browser, living or finished, one of them or several over one another.
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { whole } from '../train/flags.ts';
import { misuse } from '../usage.ts';
import { examples, type Flags, value } from './command.ts';

/** The first of the ports that are tried. */
const PORT = 7077;

export function define(command: Command): void {
  command
    .argument('<runs...>', 'output_dirs of pretrain or finetune, or a folder of such')
    .option('--port <N>', `the port (default: ${PORT}, or the next one that is free)`)
    .addOption(new Option('--host <NAME>').hideHelp())
    .addHelpText(
      'after',
      `
It answers to this machine alone, at 127.0.0.1. From another one: ssh -L ${PORT}:127.0.0.1:${PORT} THIS_MACHINE. What is shown is what the run
logs, as soon as it does; nothing is written, and nothing but the folders that are named can be seen. Ctrl-C ends it.
${examples(
  ['tesserae dashboard runs/photos', 'while pretrain is at work on it, or long after'],
  ['tesserae dashboard runs/mae runs/simmim', 'curves over one another, and where they part'],
  ['tesserae pretrain --dashboard …', 'a dashboard for as long as the run takes'],
)}`,
    )
    .action(run);
}

async function run(paths: string[], flags: Flags): Promise<void> {
  if (flags.host !== undefined)
    misuse(`--host: the dashboard is for this machine alone; from another one: ssh -L ${PORT}:127.0.0.1:${PORT} HERE`);
  const port = value(flags, 'port', whole(0, 65_535));
  const runs = (await Promise.all(paths.map(runsAt))).flat();
  const { serveDashboard } = await import('../dashboard/serve.ts');
  const { address, close } = await serveDashboard([...new Set(runs)], port);
  const of = runs.length === 1 ? runs[0] : `${runs.length} runs`;
  process.stdout.write(`${address}   ${of} (Ctrl-C ends it)\n`);
  const signal = await new Promise<number>((done) => {
    process.once('SIGINT', () => done(130));
    process.once('SIGTERM', () => done(143));
  });
  await close();
  process.exit(signal);
}

/** The run that a folder is of, or those that lie in it. */
async function runsAt(path: string): Promise<string[]> {
  const found = await stat(path).catch(() => misuse(`dashboard: there is no ${path}`));
  if (!found.isDirectory()) misuse(`dashboard: ${path} is a file: name the output_dir of a run`);
  const { isRun } = await import('../dashboard/follow.ts');
  if (await isRun(path)) return [path];
  const names = (await readdir(path)).sort();
  const inside = await Promise.all(
    names.map(async (name) => ((await isRun(join(path, name))) ? [join(path, name)] : [])),
  );
  if (!inside.flat().length)
    misuse(`dashboard: ${path} holds no run: name the output_dir of pretrain or finetune, or a folder of such`);
  return inside.flat();
}
