// Peers beside this engine as a plot: how many times our time each one takes.
import { type Dot, ratioPlot } from '../plot.ts';
import { OURS, PEERS } from './catalogue.ts';
import type { PeersReport } from './results.ts';
import { title } from './section.ts';

export function dots(reports: readonly PeersReport[]): Dot[] {
  return reports.flatMap((report) =>
    report.pieces.flatMap(({ name: piece, rows }) =>
      rows
        .filter((row) => row.ratio !== undefined && row.peer !== OURS.name)
        .map((row) => ({ group: title(report), piece, peer: row.peer, ratio: row.ratio as number })),
    ),
  );
}

export const peersPlot = (reports: readonly PeersReport[]): Promise<string> =>
  ratioPlot(
    'Time of others over ours: to the right of the line they are slower',
    dots(reports),
    PEERS.map(({ name, colour }) => ({ name, colour, shape: /cpu|wasm/.test(name) ? 'diamond' : 'circle' })),
  );
