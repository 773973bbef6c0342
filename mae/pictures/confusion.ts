// A confusion matrix as a picture: rows are what images are, columns what they were taken for, in per cent of the row.
import type { TopLevelSpec } from 'vega-lite';
import { loadSharp } from '../data/sharp.ts';
import { LOOK, renderSvg } from './vega.ts';

/** Numbers in the cells are readable up to so many classes. */
const MOST_TEXT = 20;

/** SVG, or PNG at twice its size. */
export async function confusionPicture(
  counts: readonly Int32Array[],
  classes: readonly string[],
  png: boolean,
): Promise<Uint8Array> {
  const svg = Buffer.from(await renderSvg(specification(counts, classes)));
  if (!png) return svg;
  const sharp = await loadSharp();
  return sharp(svg, { density: 144 }).png().toBuffer();
}

function specification(counts: readonly Int32Array[], classes: readonly string[]): TopLevelSpec {
  const values = counts.flatMap((row, i) => {
    const all = row.reduce((a, b) => a + b, 0);
    return Array.from(row, (n, j) => ({ is: classes[i], taken: classes[j], part: all ? (100 * n) / all : 0 }));
  });
  const cell = Math.max(8, Math.min(48, Math.floor(900 / classes.length)));
  const axis = { domain: false, ticks: false, labelLimit: 320 };
  const encoding = {
    x: {
      field: 'taken',
      type: 'nominal' as const,
      sort: [...classes],
      title: 'taken for',
      axis: { ...axis, orient: 'top' as const, labelAngle: -45 },
    },
    y: { field: 'is', type: 'nominal' as const, sort: [...classes], title: 'is', axis },
  };
  const text = {
    mark: { type: 'text' as const, fontSize: 11 },
    encoding: {
      text: { field: 'part', type: 'quantitative' as const, format: '.0f' },
      color: { condition: { test: 'datum.part > 50', value: 'white' }, value: '#333' },
    },
  };
  return {
    ...LOOK,
    title: { text: 'per cent of the images of a class', anchor: 'start', offset: 12 },
    width: { step: cell },
    height: { step: cell },
    data: { values },
    encoding,
    layer: [
      {
        mark: 'rect',
        encoding: {
          color: {
            field: 'part',
            type: 'quantitative',
            title: '%',
            scale: { scheme: 'blues', domain: [0, 100] },
          },
        },
      },
      ...(classes.length <= MOST_TEXT ? [text] : []),
    ],
  } as TopLevelSpec;
}
