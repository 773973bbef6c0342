// `tesserae dashboard RUN…`: runs in a browser, living or finished, one of them or several over one another.
import { type Command, Option } from 'commander';
import { HOST, PORT } from '../dashboard/address.ts';
import { whole } from '../train/flags.ts';
import { misuse } from '../usage.ts';
import { examples, type Flags, value } from './command.ts';

export function define(command: Command): void {
  command
    .argument(
      '<runs...>',
      'output_dirs of pretrain or finetune, or a folder of such; those that begin there later join',
    )
    .option('--port <N>', `the port (default: ${PORT}, or the next one that is free)`)
    .addOption(new Option('--host <NAME>').hideHelp())
    .addHelpText(
      'after',
      `
It answers to this machine alone, at ${HOST}. From another one: ssh -L ${PORT}:${HOST}:${PORT} THIS_MACHINE. What is shown is what the run
logs, as soon as it does; nothing is written, and nothing but the folders that are named can be seen. Ctrl-C ends it.
${examples(
  ['tesserae dashboard runs/photos', 'while pretrain is at work on it, or long after'],
  ['tesserae dashboard runs/mae runs/simmim', 'curves over one another, and where they part'],
  [
    'tesserae pretrain --data_path cifar10 --model mae_vit_nano_patch4_32 --epochs 4 --warmup_epochs 1 --dashboard',
    'a dashboard for as long as the run takes',
  ],
)}`,
    )
    .action(run);
}

async function run(paths: string[], flags: Flags): Promise<void> {
  if (flags.host !== undefined)
    misuse(`--host: the dashboard is for this machine alone; from another one: ssh -L ${PORT}:${HOST}:${PORT} HERE`);
  const port = value(flags, 'port', whole(0, 65_535));
  const [{ runsBy, runsIn }, { serveDashboard }] = await Promise.all([
    import('../dashboard/find.ts'),
    import('../dashboard/serve.ts'),
  ]);
  const runs = await runsIn(paths);
  const { address, close } = await serveDashboard(runs, { port, more: () => runsBy(paths) });
  const of = runs.length === 1 ? runs[0] : `${runs.length} runs`;
  process.stdout.write(`${address}   ${of} (Ctrl-C ends it)\n`);
  const signal = await new Promise<number>((done) => {
    process.once('SIGINT', () => done(130));
    process.once('SIGTERM', () => done(143));
    process.once('SIGHUP', () => done(129));
  });
  await close();
  process.exit(signal);
}
