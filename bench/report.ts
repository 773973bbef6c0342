// `tesserae bench report`: the parts of bench/README.md between its marks, and their plots, from the results that are kept.
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fail } from '../engine/errors.ts';
import type { Report } from './gpu/report.ts';
import { gpuDots, gpuSection, RIVALS } from './gpu/section.ts';
import { peersPlot } from './peers/plot.ts';
import { peersSection } from './peers/section.ts';
import type { PeersReport } from './peers/results.ts';
import { ratioPlot } from './plot.ts';

const FOLDER = import.meta.dirname;
const README = join(FOLDER, 'README.md');
const RESULTS = join(FOLDER, 'results');

/** The latest kept report of every adapter, by name. */
function latest<T>(kind: 'peers' | 'gpu', folder: string): T[] {
  const found = new Map<string, T>();
  for (const name of readdirSync(folder).sort()) {
    const [, adapter] = new RegExp(`^(${kind}-.*)-\\d{4}-\\d\\d-\\d\\d\\.json$`).exec(name) ?? [];
    if (adapter) found.set(adapter, JSON.parse(readFileSync(join(folder, name), 'utf8')));
  }
  return [...found.values()];
}

export const keptReports = (folder = RESULTS): PeersReport[] => latest('peers', folder);
const keptGpuReports = (folder = RESULTS): Report[] => latest('gpu', folder);

/** `page` with what stands between the marks of a part made anew. */
function between(page: string, part: string, section: string): string {
  const [opens, closes] = [`<!-- ${part}: written by tesserae bench report -->`, `<!-- /${part} -->`];
  const [begin, end] = [page.indexOf(opens), page.indexOf(closes)];
  if (begin < 0 || end < begin) fail(`bench report: README.md must hold ${opens} and after it ${closes}`);
  return `${page.slice(0, begin + opens.length)}\n\n${section}\n\n${page.slice(end)}`;
}

export const withPeers = (page: string, reports: readonly PeersReport[]): string =>
  between(
    page,
    'peers',
    reports.map(peersSection).join('\n\n') || 'No result is kept yet: `npx tesserae bench peers --save`.',
  );

const withGpu = (page: string, reports: readonly Report[]): string =>
  between(page, 'gpu', reports.map(gpuSection).join('\n') || 'No result is kept yet: `npx tesserae bench gpu`.');

export async function writeReport(): Promise<string[]> {
  mkdirSync(RESULTS, { recursive: true });
  const [peers, gpus] = [keptReports(), keptGpuReports()];
  const page = withGpu(withPeers(readFileSync(README, 'utf8'), peers), gpus);
  const title = "PyTorch's time over ours on the same card: to the right of the line it is slower";
  const written = [
    [README, page],
    ...(peers.length ? [[join(RESULTS, 'peers.svg'), await peersPlot(peers)]] : []),
    ...(gpus.length ? [[join(RESULTS, 'gpu.svg'), await ratioPlot(title, gpus.flatMap(gpuDots), RIVALS)]] : []),
  ];
  for (const [path, text] of written) {
    writeFileSync(`${path}.tmp`, text);
    renameSync(`${path}.tmp`, path);
  }
  return written.map(([path]) => relative(process.cwd(), path));
}
