// Time of others over ours as an SVG on a logarithmic scale: to the right of the line they are slower.
import type { TopLevelSpec } from 'vega-lite';
import { LOOK, renderSvg } from '../mae/pictures/vega.ts';

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
export const ratioPlot = (title: string, dots: readonly Dot[], peers: readonly Peer[]): Promise<string> =>
  renderSvg(specification(title, dots, peers));

function specification(text: string, values: readonly Dot[], all: readonly Peer[]): TopLevelSpec {
  const pieces = [...new Set(values.map(({ piece }) => piece))];
  const peers = all.filter(({ name }) => values.some((dot) => dot.peer === name));
  const names = peers.map(({ name }) => name);
  return {
    ...LOOK,
    title: { text, anchor: 'start', offset: 12 },
    config: {
      ...LOOK.config,
      axis: { ...LOOK.config.axis, labelLimit: 420 },
      header: { labelFontSize: 13, labelFontWeight: 'bold', labelAnchor: 'start', labelColor: LOOK.config.title.color },
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
