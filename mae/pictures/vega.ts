// Charts as SVG by Vega, which loads only when a chart is drawn, in one look for the whole house.
import type { TopLevelSpec } from 'vega-lite';
import { fail } from '../../engine/errors.ts';

/** What every chart begins with. */
export const LOOK = {
  $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
  padding: 16,
  background: 'white',
  config: {
    view: { stroke: null },
    font: 'Helvetica, Arial, "DejaVu Sans", sans-serif',
    axis: {
      labelFontSize: 12,
      titleFontSize: 13,
      titlePadding: 10,
      gridColor: '#e6e6ea',
      domainColor: '#9a9aa3',
      tickColor: '#9a9aa3',
      labelColor: '#62626c',
      titleColor: '#62626c',
      titleFontWeight: 'normal',
    },
    legend: { labelFontSize: 12, labelLimit: 300, labelColor: '#24242a' },
    title: { fontSize: 15, color: '#24242a' },
  },
} as const;

/** Above the chart: within it some curve would run behind it. */
export const LEGEND = { orient: 'top', symbolType: 'stroke', symbolStrokeWidth: 3, symbolSize: 300 } as const;

export async function renderSvg(specification: TopLevelSpec): Promise<string> {
  const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')]).catch((error: Error) =>
    fail(`chart: needs the packages vega and vega-lite: npm install (${error.message.split('\n')[0]})`),
  );
  const view = new vega.View(vega.parse(compile(specification).spec), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
