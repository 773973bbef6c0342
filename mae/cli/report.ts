// `tesserae report RUN…`: curves, reconstructions through time, throughput, memory, kernels and settings of a run on one page.
import type { Command } from 'commander';
import { oneOf, text } from '../train/flags.ts';
import { misuse } from '../usage.ts';
import { examples, type Flags, value } from './command.ts';

const FORMATS = ['svg', 'png'];

export function define(command: Command): void {
  command
    .argument('<runs...>', 'output_dirs of pretrain or finetune; a run that is still going is shown as far as it is')
    .option('--output <FILE>', 'where the page goes, for one run (default: report.html in its folder)')
    .option('--curves <FORMAT>', `also every curve as a file, in the run's folder curves: ${FORMATS.join(' or ')}`)
    .addHelpText(
      'after',
      `\nThe page is one file that needs nothing beside it: send it around. pretrain and finetune write it at their end.\n${examples(
        ['tesserae report runs/photos', 'runs/photos/report.html'],
        ['tesserae report runs/photos --curves png', 'and its curves as pictures for a paper or a chat'],
      )}`,
    )
    .action(run);
}

async function run(paths: string[], flags: Flags): Promise<void> {
  const output = value(flags, 'output', text('FILE'));
  const curves = value(flags, 'curves', oneOf(FORMATS)) as 'svg' | 'png' | undefined;
  if (output !== undefined && paths.length > 1)
    misuse(`--output names one page, for one run; here are ${paths.length}`);
  if (output !== undefined && !/\.html?$/i.test(output)) misuse(`--output must end in .html, got ${output}`);
  const { writeReport } = await import('../report/report.ts');
  for (const path of paths)
    for (const file of await writeReport(path, { output, curves })) process.stdout.write(`${file}\n`);
}
