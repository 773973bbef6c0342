// What a run has to show: its numbers, its curves, the fixed images as they sharpen, and what its kernels take.
import { bytesText } from '../../bytes.ts';
import { millionsText } from '../../model/parameter-count.ts';
import { type Curve, Curves, Figures, Gallery, setText, short, Table } from '../parts/index.ts';
import { find } from '../dom.ts';
import type { Facts, News, Shots } from './messages.ts';

/** Moments of the fixed images that are kept in sight; beyond, every second one goes. */
const MOST_MOMENTS = 14;
/** Lines of the log that are kept. */
const MOST_NOTES = 200;
/** Pixels of an image between images. */
const GAP = 1;

type Of<K extends News['kind']> = Extract<News, { readonly kind: K }>;

/** Of a run that has not told anything yet; bytes are the device's. */
const NOTHING = {
  step: 0,
  epoch: 0,
  loss: Number.NaN,
  heldout: Number.NaN,
  pace: Number.NaN,
  bytes: Number.NaN,
};

/** Shows what a run tells, as it comes. */
export class Results {
  readonly #figures = new Figures();
  readonly #loss = new Curves({ title: 'Loss on removed patches', height: 220, sync: 'train' });
  readonly #speed = new Curves({ title: 'Images per second', height: 220, linear: true, zero: true, sync: 'train' });
  readonly #gallery = new Gallery();
  readonly #table = new Table([
    { label: 'kernel' },
    { label: 'calls', numeric: true },
    { label: 'ms', numeric: true, bar: true },
    { label: 'GFLOP/s', numeric: true },
  ]);
  readonly #timing: HTMLElement;
  readonly #log: HTMLElement;
  readonly #about: HTMLElement;
  #train!: Curve;
  #heldout!: Curve;
  #pace!: Curve;
  #facts: Facts | null = null;
  #now = NOTHING;
  #moments: number[] = [];
  #stride = 0;

  constructor(root: HTMLElement) {
    find(root, 'div', '#numbers').append(this.#figures.element);
    find(root, 'div', '#course').append(this.#loss.element, this.#speed.element);
    find(root, 'div', '#shots').append(this.#gallery.element);
    find(root, 'div', '#kernels').append(this.#table.element);
    this.#timing = find(root, 'p', '#timing');
    this.#log = find(root, 'ol', '#log');
    this.#about = find(root, 'p', '#run');
    this.clear();
  }

  /** The last one that was told. */
  get step(): number {
    return this.#now.step;
  }

  /** As before any run. */
  clear(): void {
    for (const key of ['train', 'heldout']) this.#loss.remove(key);
    this.#speed.remove('speed');
    this.#train = this.#loss.curve('train', { name: 'training', colour: 1, kind: 'smooth' });
    this.#heldout = this.#loss.curve('heldout', { name: 'held-out images', colour: 2, kind: 'sparse' });
    this.#pace = this.#speed.curve('speed', { name: 'training', colour: 3 });
    this.#gallery.fix([]);
    this.#gallery.clear();
    this.#moments = [];
    this.#stride = 0;
    this.#facts = null;
    this.#now = NOTHING;
    this.#table.show([]);
    setText(this.#timing, 'Timed at the third step.');
    this.#log.replaceChildren();
    setText(this.#about, '');
    this.#showFigures();
  }

  began(facts: Facts): void {
    this.#facts = facts;
    this.#now = { ...this.#now, step: facts.done, epoch: Math.floor(facts.done / facts.stepsPerEpoch) };
    const { model, parameters, adapter, precision, images, heldout } = facts;
    const many = (count: number): string => count.toLocaleString('en-US');
    const what = `${model}, ${millionsText(parameters)} parameters, ${precision}, on ${adapter}`;
    setText(this.#about, `${what}: ${many(images)} images to learn from, ${many(heldout)} held out`);
    this.#showFigures();
  }

  steps({ steps, imagesPerSecond, bytes }: Of<'steps'>): void {
    for (const { step, loss } of steps) this.#train.append(step, loss);
    const last = steps.at(-1);
    if (!last) return;
    const { step, epoch, loss } = last;
    if (imagesPerSecond > 0) this.#pace.append(step, imagesPerSecond);
    this.#now = { ...this.#now, step, epoch, loss, bytes, pace: imagesPerSecond || this.#now.pace };
    this.#showFigures();
  }

  heldout({ step, loss }: Of<'heldout'>): void {
    this.#heldout.append(step, loss);
    this.#now = { ...this.#now, heldout: loss };
    this.#showFigures();
  }

  /** The newest moment takes the place of the one before, until that is far enough from the one that stays. */
  shots(shots: Shots): void {
    const { step } = shots;
    this.#gallery.fix([
      { label: 'original', canvas: drawn(shots, shots.original) },
      { label: 'seen', canvas: drawn(shots, shots.masked) },
    ]);
    const [stays, newest] = [this.#moments.at(-2), this.#moments.at(-1)];
    if (newest !== undefined && (newest >= step || (stays !== undefined && newest - stays < this.#stride)))
      this.#forget(newest);
    this.#moments.push(step);
    this.#gallery.add(String(step), {
      label: `step ${step.toLocaleString('en-US')}`,
      canvas: drawn(shots, shots.pasted),
    });
    if (this.#moments.length <= MOST_MOMENTS) return;
    for (const [i, moment] of this.#moments.slice(0, -1).entries()) if (i % 2) this.#forget(moment);
    const [first, second] = this.#moments;
    this.#stride = second - first;
  }

  #forget(moment: number): void {
    this.#gallery.remove(String(moment));
    this.#moments = this.#moments.filter((other) => other !== moment);
  }

  kernels({ kernels, byWaiting, bytes }: Of<'kernels'>): void {
    this.#now = { ...this.#now, bytes };
    const cell = (value: number, text = short(value)) => ({ text, value });
    this.#table.show(
      kernels.map(({ kernel, calls, ms, flops }) => {
        const rate = ms > 0 ? flops / ms / 1e6 : 0;
        return [
          kernel,
          cell(calls, String(calls)),
          cell(ms, ms.toFixed(2)),
          cell(rate, rate >= 0.05 ? rate.toFixed(1) : ''),
        ];
      }),
    );
    const all = kernels.reduce((sum, { ms }) => sum + ms, 0);
    const how = byWaiting
      ? 'by waiting for each kernel, as this browser gives no timestamps: short ones show the wait'
      : 'by timestamps on the device, which browsers may round to 0.1 ms';
    setText(this.#timing, `One step takes ${all.toFixed(1)} ms, measured ${how}.`);
  }

  /** Points of later steps are no longer so. */
  rewound({ step }: Of<'rewound'>): void {
    for (const curve of [this.#train, this.#heldout, this.#pace]) {
      const points = curve.x.map((x, i) => [x, curve.y[i]]).filter(([x]) => x <= step);
      curve.clear();
      for (const [x, y] of points) curve.append(x, y);
    }
    for (const moment of this.#moments.filter((at) => at > step)) this.#forget(moment);
    this.#now = { ...this.#now, step };
    this.#showFigures();
  }

  note(line: string): void {
    const item = document.createElement('li');
    item.textContent = line;
    this.#log.append(item);
    while (this.#log.children.length > MOST_NOTES) this.#log.firstElementChild?.remove();
  }

  #showFigures(): void {
    const { step, epoch, loss, heldout, pace, bytes } = this.#now;
    const facts = this.#facts;
    const told = (value: number, text: (value: number) => string): string =>
      Number.isFinite(value) ? text(value) : '–';
    this.#figures.show([
      { key: 'step', label: 'steps', value: step.toLocaleString('en-US') },
      { key: 'epoch', label: facts ? `epoch of ${facts.epochs}` : 'epoch', value: facts ? String(epoch + 1) : '–' },
      { key: 'loss', label: 'loss', value: told(loss, short) },
      { key: 'heldout', label: 'held-out loss', value: told(heldout, short) },
      { key: 'pace', label: 'images/s', value: told(pace, (x) => Math.round(x).toLocaleString('en-US')) },
      { key: 'bytes', label: 'device memory', value: told(bytes, bytesText) },
    ]);
  }
}

/** A column of square images with gaps. */
function drawn({ width, height }: Shots, rgba: Uint8ClampedArray<ArrayBuffer>): HTMLCanvasElement {
  const count = Math.round(height / width);
  const side = height / count;
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height + GAP * (count - 1);
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;
  for (let i = 0; i < count; i++) {
    const tile = rgba.slice(4 * i * side * width, 4 * (i + 1) * side * width);
    context.putImageData(new ImageData(tile, width, side), 0, i * (side + GAP));
  }
  return canvas;
}
