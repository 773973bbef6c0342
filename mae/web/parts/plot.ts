// The canvas of a chart: uPlot, in the colours of the theme, over curves whose x need not be the same.
import uPlot from 'uplot';
import { axisLabels } from './numbers.ts';

/** A line on the plot. */
export interface Drawn {
  /** Whose values these are. */
  readonly curve: unknown;
  readonly x: readonly number[];
  readonly y: readonly number[];
  readonly colour: string;
  /** Lengths of line and gap; of faint and sparse lines the look says it. */
  readonly dash: readonly number[];
  readonly shown: boolean;
  /** What faint lines reach above the others is cut off: single first steps would flatten all the rest. */
  readonly look: 'line' | 'faint' | 'sparse';
}

interface PlotOptions {
  readonly xLabel: string;
  readonly height: number;
  readonly log: boolean;
  readonly zero: boolean;
  readonly sync?: string;
  /** A colour of CSS as a canvas takes it. */
  readonly colour: (css: string) => string;
  /** Told of x under the pointer and each curve's value there; null where the pointer left. */
  readonly pointed: (x: number | null, values: readonly (readonly [unknown, number | null])[]) => void;
}

export interface Plot {
  /** The lines that it was made with, further on. */
  feed(lines: readonly Drawn[]): void;
  resize(width: number, height: number): void;
  recolour(): void;
  close(): void;
}

const FONT = '12px system-ui, "DejaVu Sans", sans-serif';
const MARGIN = 0.06;

export function makePlot(host: HTMLElement, lines: readonly Drawn[], options: PlotOptions): Plot {
  const { colour, log, height, xLabel, sync, pointed } = options;
  let now = lines;
  let zoomed = false;
  const axis = {
    stroke: () => colour('var(--faint)'),
    font: FONT,
    labelFont: FONT,
    grid: { stroke: () => colour('var(--line)'), width: 1 },
    ticks: { stroke: () => colour('var(--line)'), width: 1, size: 4 },
    gap: 4,
  };
  const labels = (_: uPlot, values: (number | null)[]): string[] => axisLabels(values as number[]);
  const plot = new uPlot(
    {
      width: Math.max(120, host.clientWidth),
      height,
      padding: [8, 12, 0, 0],
      legend: { show: false },
      scales: {
        x: { time: false, range: (_, min, max) => (min === max ? [min - 1, max + 1] : [min, max]) },
        y: log ? { distr: 3, range: (_, min, max) => logRange(min, max) } : { range: () => rangeOf(now, options) },
      },
      axes: [
        { ...axis, label: xLabel, labelSize: 18, labelGap: 0, size: 26, space: 64, values: labels },
        { ...axis, size: widthOfLabels, space: log ? 20 : 36, values: log ? logLabels : labels },
      ],
      series: [{}, ...lines.map((line) => seriesOf(line, colour))],
      cursor: {
        points: { size: 7, width: 0 },
        drag: { x: true, y: false, setScale: true },
        dataIdx: (self, series, hovered) => nearest(self.data[series], hovered),
        ...(sync === undefined ? {} : { sync: { key: sync } }),
      },
      hooks: {
        setCursor: [(self) => tell(self)],
        setSelect: [(self) => void (zoomed = self.select.width > 0)],
      },
    },
    aligned(lines, log),
    host,
  );
  plot.over.addEventListener('dblclick', () => void (zoomed = false));

  /** Of curves that are drawn twice, the value itself and not its average. */
  function tell({ cursor, data }: uPlot): void {
    const { idx, idxs } = cursor;
    if (idx === null || idx === undefined) {
      pointed(null, []);
      return;
    }
    const values = new Map<unknown, number | null>();
    for (const [i, { curve }] of now.entries()) {
      const at = idxs?.[i + 1];
      if (!values.has(curve)) values.set(curve, at === null || at === undefined ? null : (data[i + 1][at] ?? null));
    }
    pointed(data[0][idx] as number, [...values]);
  }

  return {
    feed: (next) => {
      now = next;
      plot.setData(aligned(next, log), !zoomed);
      if (zoomed) plot.redraw();
    },
    resize: (width, high) => void (width > 0 && plot.setSize({ width, height: high })),
    recolour: () => plot.redraw(),
    close: () => plot.destroy(),
  };
}

function seriesOf({ look, colour, dash, shown }: Drawn, resolve: PlotOptions['colour']): uPlot.Series {
  const stroke = (): string => resolve(look === 'faint' ? `color-mix(in srgb, ${colour} 38%, transparent)` : colour);
  const points = { size: 5, width: 1, fill: stroke, stroke };
  return {
    show: shown,
    stroke,
    spanGaps: true,
    width: look === 'faint' ? 1 : 2,
    points: look === 'sparse' ? { ...points, show: true } : look === 'faint' ? { show: false } : points,
    ...(look === 'sparse' ? { dash: [5, 4] } : look === 'line' && dash.length ? { dash: [...dash] } : {}),
  };
}

/** All on one x. A logarithmic axis has no place for what is not above 0. */
function aligned(lines: readonly Drawn[], log: boolean): uPlot.AlignedData {
  const y = lines.map((line) => (log ? line.y.map((value) => (value > 0 ? value : null)) : [...line.y]));
  const [first] = lines;
  if (lines.every(({ x }) => x === first.x)) return [[...first.x], ...y];
  return uPlot.join(lines.map(({ x }, i): uPlot.AlignedData => [[...x], y[i]]));
}

function rangeOf(lines: readonly Drawn[], { zero }: PlotOptions): [number, number] {
  const seen = lines.filter(({ shown, x }) => shown && x.length);
  const all = seen.filter(({ look }) => look !== 'faint');
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const { y } of seen) for (const value of y) low = Math.min(low, value);
  for (const { y } of all) for (const value of y) high = Math.max(high, value);
  if (!(low <= high)) return [0, 1];
  const size = Math.max(Math.abs(high), Math.abs(low)) || 1;
  // What stays the same to three digits is a flat line, not noise that fills the chart.
  const margin = high - low < 1e-3 * size ? 0.05 * size : MARGIN * (high - low);
  const bottom = low - margin;
  return [zero || (low >= 0 && bottom < 0) ? Math.min(0, low) : bottom, high + margin];
}

const logRange = (min: number | null, max: number | null): uPlot.Range.MinMax =>
  min === null || max === null ? [0.1, 1] : uPlot.rangeLog(min, max * (1 + MARGIN), 10, false);

/** Of powers of ten all, of what is between them where there is room for it. */
function logLabels(_: uPlot, values: (number | null)[]): string[] {
  const decades = new Set(values.map((value) => value && Math.floor(Math.log10(value) + 1e-9))).size;
  return values.map((value) => {
    if (value === null) return '';
    const digit = Math.round(value / 10 ** Math.floor(Math.log10(value) + 1e-9));
    return digit === 1 || (decades < 3 && [2, 5].includes(digit)) ? axisLabels([value])[0] : '';
  });
}

/** As wide as the longest label. */
function widthOfLabels(self: uPlot, values: string[] | null): number {
  if (!values?.length) return 40;
  self.ctx.save();
  self.ctx.font = `${12 * devicePixelRatio}px ${FONT.slice(FONT.indexOf(' ') + 1)}`;
  const widest = Math.max(...values.map((text) => self.ctx.measureText(text).width));
  self.ctx.restore();
  return Math.ceil(widest / devicePixelRatio) + 14;
}

/** The place of the value that is there and nearest. */
function nearest(values: ArrayLike<number | null | undefined>, at: number): number {
  for (let off = 0; off < values.length; off++)
    for (const i of [at - off, at + off]) if (values[i] !== null && values[i] !== undefined) return i;
  return at;
}
