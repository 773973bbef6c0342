// `tesserae bench report`: the part of bench/README.md between its marks, and its plot, from the results that are kept.
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fail } from '../engine/errors.ts';
import { peersPlot } from './peers/plot.ts';
import { peersSection } from './peers/section.ts';
import type { PeersReport } from './peers/results.ts';

const FOLDER = import.meta.dirname;
const README = join(FOLDER, 'README.md');
const RESULTS = join(FOLDER, 'results');
const BEGIN = '<!-- peers: written by tesserae bench report -->';
const END = '<!-- /peers -->';

/** The latest kept report of every adapter, by name. */
export function keptReports(folder = RESULTS): PeersReport[] {
  const latest = new Map<string, PeersReport>();
  for (const name of readdirSync(folder).sort()) {
    const [, adapter] = /^(peers-.*)-\d{4}-\d\d-\d\d\.json$/.exec(name) ?? [];
    if (adapter) latest.set(adapter, JSON.parse(readFileSync(join(folder, name), 'utf8')));
  }
  return [...latest.values()];
}

/** `page` with what stands between the marks made anew. */
export function withPeers(page: string, reports: readonly PeersReport[]): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) fail(`bench report: README.md must hold ${BEGIN} and after it ${END}`);
  const section = reports.map(peersSection).join('\n\n') || 'No result is kept yet: `npx tesserae bench peers --save`.';
  return `${page.slice(0, begin + BEGIN.length)}\n\n${section}\n\n${page.slice(end)}`;
}

export async function writeReport(): Promise<string[]> {
  mkdirSync(RESULTS, { recursive: true });
  const reports = keptReports();
  const plot = join(RESULTS, 'peers.svg');
  const written = [
    [README, withPeers(readFileSync(README, 'utf8'), reports)],
    ...(reports.length ? [[plot, await peersPlot(reports)]] : []),
  ];
  for (const [path, text] of written) {
    writeFileSync(`${path}.tmp`, text);
    renameSync(`${path}.tmp`, path);
  }
  return written.map(([path]) => relative(process.cwd(), path));
}
