// Time of others over ours as an SVG on a logarithmic scale: to the right of the line they are slower.
import type { TopLevelSpec } from 'vega-lite';
import { fail } from '../engine/errors.ts';

/** One other's time over ours at one piece of work. */
export interface Dot {
  /** Under which heading it stands: an adapter, a precision. */
  readonly group: string;
  readonly piece: string;
  readonly peer: string;
  readonly ratio: number;
}

export interface Peer {
  readonly name: string;
  readonly colour: string;
  readonly shape: 'circle' | 'diamond';
}

/** Pieces that are set closer. */
const MANY = 30;

/** Pieces from top to bottom in the order in which they are given. */
export async function ratioPlot(title: string, dots: readonly Dot[], peers: readonly Peer[]): Promise<string> {
  const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')]).catch((error: Error) =>
    fail(`bench report: needs the packages vega and vega-lite: npm install (${error.message.split('\n')[0]})`),
  );
  const view = new vega.View(vega.parse(compile(specification(title, dots, peers)).spec), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

function specification(text: string, values: readonly Dot[], all: readonly Peer[]): TopLevelSpec {
  const pieces = [...new Set(values.map(({ piece }) => piece))];
  const peers = all.filter(({ name }) => values.some((dot) => dot.peer === name));
  const names = peers.map(({ name }) => name);
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    title: { text, anchor: 'start', offset: 12 },
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
        labelLimit: 420,
      },
      header: { labelFontSize: 13, labelFontWeight: 'bold', labelAnchor: 'start' },
      legend: { labelFontSize: 12, labelLimit: 300 },
      title: { fontSize: 15 },
    },
    data: { values: [...values] },
    facet: { row: { field: 'group', type: 'nominal', title: null, header: { labelAngle: 0, labelOrient: 'top' } } },
    resolve: { scale: { y: 'independent' } },
    spec: {
      width: 560,
      height: { step: pieces.length > MANY ? 18 : 28 },
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
              scale: { domain: names, range: peers.map(({ shape }) => shape) },
            },
          },
        },
      ],
    },
  };
}
