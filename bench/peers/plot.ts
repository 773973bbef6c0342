// Peers beside this engine as an SVG: how many times our time each one takes, on a logarithmic scale.
import type { TopLevelSpec } from 'vega-lite';
import { fail } from '../../engine/errors.ts';
import { OURS, PEERS } from './catalogue.ts';
import type { PeersReport } from './results.ts';
import { title } from './section.ts';

interface Dot {
  readonly adapter: string;
  readonly piece: string;
  readonly peer: string;
  readonly ratio: number;
}

export function dots(reports: readonly PeersReport[]): Dot[] {
  return reports.flatMap((report) =>
    report.pieces.flatMap(({ name: piece, rows }) =>
      rows
        .filter((row) => row.ratio !== undefined && row.peer !== OURS.name)
        .map((row) => ({ adapter: title(report), piece, peer: row.peer, ratio: row.ratio as number })),
    ),
  );
}

export async function peersPlot(reports: readonly PeersReport[]): Promise<string> {
  const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')]).catch((error: Error) =>
    fail(`bench report: needs the packages vega and vega-lite: npm install (${error.message.split('\n')[0]})`),
  );
  const view = new vega.View(vega.parse(compile(specification(reports)).spec), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

function specification(reports: readonly PeersReport[]): TopLevelSpec {
  const values = dots(reports);
  const pieces = [...new Set(reports.flatMap((report) => report.pieces.map(({ name }) => name)))];
  const peers = PEERS.filter(({ name }) => values.some((dot) => dot.peer === name));
  const names = peers.map(({ name }) => name);
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    title: { text: 'Time of others over ours: to the right of the line they are slower', anchor: 'start', offset: 12 },
    padding: 16,
    background: 'white',
    config: {
      view: { stroke: null },
      font: 'Helvetica, Arial, "DejaVu Sans", sans-serif',
      axis: {
        labelFontSize: 12,
        titleFontSize: 13,
        titleFontWeight: 'normal',
        gridColor: '#e6e6ea',
        domainColor: '#9a9aa3',
        tickColor: '#9a9aa3',
        labelLimit: 240,
      },
      header: { labelFontSize: 13, labelFontWeight: 'bold', labelAnchor: 'start' },
      legend: { labelFontSize: 12, labelLimit: 300 },
      title: { fontSize: 15 },
    },
    data: { values },
    facet: { row: { field: 'adapter', type: 'nominal', title: null, header: { labelAngle: 0, labelOrient: 'top' } } },
    spec: {
      width: 560,
      height: 28 * pieces.length,
      layer: [
        { mark: { type: 'rule', color: '#33333a', strokeWidth: 1.5 }, encoding: { x: { datum: 1 } } },
        {
          mark: { type: 'point', filled: true, size: 110, opacity: 1, stroke: 'white', strokeWidth: 1 },
          encoding: {
            x: {
              field: 'ratio',
              type: 'quantitative',
              scale: { type: 'log' },
              title: 'time / ours',
              axis: { values: [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100], format: '~g', grid: true },
            },
            y: { field: 'piece', type: 'nominal', sort: pieces, title: null, axis: { grid: true } },
            color: {
              field: 'peer',
              type: 'nominal',
              title: null,
              scale: { domain: names, range: peers.map(({ colour }) => colour) },
            },
            shape: {
              field: 'peer',
              type: 'nominal',
              title: null,
              scale: { domain: names, range: peers.map(({ name }) => (/cpu|wasm/.test(name) ? 'diamond' : 'circle')) },
            },
          },
        },
      ],
    },
  };
}
