// Curves that grow while one looks at them: one chart, any number of curves or runs over one another, a legend that tells the values
// under the pointer and hides what is clicked, a logarithmic axis at the press of a button, zoom by dragging.
import { domOf, Palette, setText } from './dom.ts';
import { h } from './markup.ts';
import { place, short } from './numbers.ts';
import { makePlot, type Drawn, type Plot } from './plot.ts';
import { smooth } from '../../pictures/smooth.ts';
import { Series, type SeriesData } from './series.ts';
import { type Stroke, strokeOf, strokeStyle } from './stroke.ts';

export interface CurvesOptions {
  readonly title: string;
  /** What x counts; optimizer steps unless said. */
  readonly xLabel?: string;
  /** Begins with a logarithmic axis. */
  readonly log?: boolean;
  /** No button for a logarithmic axis. */
  readonly linear?: boolean;
  /** The axis begins at 0: for what should be seen to stay flat. */
  readonly zero?: boolean;
  /** Of the plot, in CSS pixels. */
  readonly height?: number;
  /** Charts of one name share their pointer's x. */
  readonly sync?: string;
  /** How a value is written in the legend. */
  readonly format?: (value: number) => string;
}

export interface CurveOptions {
  readonly name: string;
  /** From 1 on, as stroke.ts draws them; the next free one unless said. */
  readonly colour?: number;
  /** line; smooth: every value faintly, their moving average above it; sparse: dashed, with its points. */
  readonly kind?: 'line' | 'smooth' | 'sparse';
}

/** One of them: what it is fed by. */
export class Curve extends Series {
  readonly name: string;
  readonly stroke: Stroke;
  readonly kind: 'line' | 'smooth' | 'sparse';
  readonly #changed: () => void;
  shown = true;

  constructor({ name, colour = 1, kind = 'line' }: CurveOptions, changed: () => void) {
    super();
    this.name = name;
    this.kind = kind;
    this.stroke = strokeOf(colour - 1);
    this.#changed = changed;
  }

  /** A point further on; drawn with the next frame. */
  override append(x: number, y: number): void {
    super.append(x, y);
    this.#changed();
  }

  override take(data: SeriesData): void {
    super.take(data);
    this.#changed();
  }

  override clear(): void {
    super.clear();
    this.#changed();
  }
}

interface Chip {
  readonly element: HTMLElement;
  readonly value: HTMLElement;
}

export class Curves {
  readonly element: HTMLElement;
  readonly #options: CurvesOptions;
  readonly #curves = new Map<string, Curve>();
  readonly #chips = new Map<Curve, Chip>();
  readonly #palette: Palette;
  readonly #parts: Readonly<Record<'legend' | 'at' | 'plot' | 'log' | 'empty', HTMLElement>>;
  readonly #resize: ResizeObserver;
  #log: boolean;
  #plot: Plot | null = null;
  #frame = 0;

  constructor(options: CurvesOptions) {
    const { title, xLabel = 'optimizer step', log = false, linear = false, height = 240 } = options;
    this.#options = { ...options, xLabel, height };
    this.#log = log;
    const parts = {
      legend: domOf(h('div', { class: 'legend' })),
      at: domOf(h('output', { class: 'at' })),
      plot: domOf(h('div', { class: 'plot', role: 'img', style: `height:${height}px` })),
      log: domOf(h('button', { type: 'button', class: 'small', 'aria-pressed': String(log) }, 'log')),
      empty: domOf(h('p', { class: 'empty' }, 'no values yet')),
    };
    parts.log.title = 'logarithmic axis';
    parts.log.hidden = linear;
    const head = domOf(h('figcaption', {}, h('b', {}, title)));
    head.append(parts.at, parts.log);
    this.element = domOf(h('figure', { class: 'curves' }));
    parts.plot.append(parts.empty);
    this.element.append(head, parts.legend, parts.plot);
    this.#parts = parts;
    parts.log.addEventListener('click', () => this.#setLog(!this.#log));
    this.#palette = new Palette(this.element, () => this.#plot?.recolour());
    this.#resize = new ResizeObserver(() => this.#plot?.resize(parts.plot.clientWidth, height));
    this.#resize.observe(parts.plot);
  }

  /** The curve of this key, made where there is none yet. */
  curve(key: string, options: CurveOptions): Curve {
    const found = this.#curves.get(key);
    if (found) return found;
    const made = new Curve({ colour: this.#curves.size + 1, ...options }, () => this.#draw());
    this.#curves.set(key, made);
    this.#chips.set(made, this.#chip(made));
    this.#rebuild();
    return made;
  }

  remove(key: string): void {
    const curve = this.#curves.get(key);
    if (!curve) return;
    this.#curves.delete(key);
    this.#chips.get(curve)?.element.remove();
    this.#chips.delete(curve);
    this.#rebuild();
  }

  /** Takes it off the page for good. */
  close(): void {
    cancelAnimationFrame(this.#frame);
    this.#resize.disconnect();
    this.#palette.close();
    this.#plot?.close();
    this.element.remove();
  }

  #chip(curve: Curve): Chip {
    const value = domOf(h('span', { class: 'value' }));
    const element = domOf(h('button', { type: 'button', class: `chip ${curve.kind}`, 'aria-pressed': 'true' }));
    element.title = `hide or show ${curve.name}`;
    element.append(domOf(h('i', { style: strokeStyle(curve.stroke) })), curve.name, value);
    element.addEventListener('click', () => {
      curve.shown = !curve.shown;
      element.setAttribute('aria-pressed', String(curve.shown));
      this.#rebuild();
    });
    this.#parts.legend.append(element);
    return { element, value };
  }

  #setLog(log: boolean): void {
    this.#log = log;
    this.#parts.log.setAttribute('aria-pressed', String(log));
    this.#rebuild();
  }

  /** Another set of curves, or another axis: another plot. */
  #rebuild(): void {
    this.#plot?.close();
    this.#plot = null;
    this.#draw();
  }

  #draw(): void {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#drawNow();
    });
  }

  #drawNow(): void {
    const drawn = this.#drawn();
    const any = drawn.some(({ x }) => x.length > 0);
    this.#parts.empty.hidden = any;
    if (any) {
      this.#plot ??= makePlot(this.#parts.plot, drawn, {
        xLabel: this.#options.xLabel as string,
        height: this.#options.height as number,
        log: this.#log,
        zero: this.#options.zero ?? false,
        sync: this.#options.sync,
        colour: (name) => this.#palette.of(name),
        pointed: (x, values) => this.#tell(x, values),
      });
      this.#plot.feed(drawn);
    }
    this.#tell(null, []);
    const last = [...this.#curves.values()].map(({ name, last }) => (last ? `${name} ${this.#format(last.y)}` : name));
    this.#parts.plot.setAttribute('aria-label', `${this.#options.title}: ${last.join(', ')}`);
  }

  /** What the plot draws, in order. */
  #drawn(): Drawn[] {
    return [...this.#curves.values()].flatMap((curve): Drawn[] => {
      const { x, y, kind, stroke, shown } = curve;
      const of = { curve, x, ...stroke, shown };
      if (kind !== 'smooth') return [{ ...of, y, look: kind }];
      return [
        { ...of, y, look: 'faint' },
        { ...of, y: smooth(y), look: 'line' },
      ];
    });
  }

  #format(value: number): string {
    return (this.#options.format ?? short)(value);
  }

  /** Values under the pointer; the last ones where it is elsewhere. */
  #tell(x: number | null, values: readonly (readonly [unknown, number | null])[]): void {
    setText(this.#parts.at, x === null ? '' : `${this.#options.xLabel} ${place(x)}`);
    const under = new Map(values);
    for (const [curve, { value }] of this.#chips) {
      const shown = x === null ? curve.last?.y : under.get(curve);
      setText(value, shown === undefined || shown === null ? '' : this.#format(shown));
    }
  }
}
