// A run's report: read, drawn, and written beside what it shows.
import { dirname, join } from 'node:path';
import { makeFolder, writeFileAtomic } from '../../engine/node/files.ts';
import { bundleOf } from '../bundle.ts';
import { charts, pngOf } from './charts.ts';
import { readRunFolder } from './gather.ts';
import { page } from './page.ts';

interface ReportOptions {
  /** Where the page goes; report.html in the run's folder unless said. */
  readonly output?: string;
  /** Also every curve as a file of its own, in the run's folder `curves`. */
  readonly curves?: 'svg' | 'png';
}

/** @param path output_dir of a run that has made a step, living or finished @returns the files written, the page first */
export async function writeReport(path: string, { output, curves }: ReportOptions = {}): Promise<string[]> {
  const run = await readRunFolder(path);
  const [drawn, bundle] = await Promise.all([charts(run), bundleOf('report')]);
  const written = [output ?? join(path, 'report.html')];
  if (output !== undefined) await makeFolder(dirname(output), 'report: --output');
  await writeFileAtomic(written[0], page(run, drawn, bundle));
  if (!curves) return written;
  const folder = join(path, 'curves');
  await makeFolder(folder, 'report');
  for (const chart of drawn) {
    const file = join(folder, `${chart.name}.${curves}`);
    await writeFileAtomic(file, curves === 'svg' ? chart.svg : await pngOf(chart));
    written.push(file);
  }
  return written;
}

/** What a run leaves at its end: its page, and the curve of its loss alone. @returns their paths */
export async function leaveReport(path: string): Promise<{ page: string; curve: string }> {
  const run = await readRunFolder(path);
  const [drawn, bundle] = await Promise.all([charts(run), bundleOf('report')]);
  const left = { page: join(path, 'report.html'), curve: join(path, 'loss.svg') };
  await writeFileAtomic(left.page, page(run, drawn, bundle));
  await writeFileAtomic(left.curve, drawn[0].svg);
  return left;
}
