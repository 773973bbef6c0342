// The tab in which pictures are hidden in part and rebuilt: what a visitor sets, and what follows from it in the next frame.
import { type Device, DeviceLostError } from '../../../engine/index.ts';
import { type ChosenMask, pixelsOf, renderingsOf, type Sample, type Statistics, tileOf } from '../../browser.ts';
import { find, make } from '../dom.ts';
import { Board, canvasOf } from './draw.ts';
import { listen, placeOf } from './hands.ts';
import { follow } from './loop.ts';
import { type Kind, Mask } from './mask.ts';
import { modelInput } from './pictures.ts';
import { GAZING, render, renderGaze, type Shown, type Source, WAYS, type Way } from './rendering.ts';
import { type Attention, Session } from './session.ts';
import { wireSources } from './sources.ts';
import { WEIGHTS } from './weights.ts';

export async function mountLook(root: HTMLElement, device: Device): Promise<void> {
  const response = await fetch(WEIGHTS);
  if (!response.ok) throw new Error(`${WEIGHTS} is not there (${response.status}): serve the whole folder of the page`);
  // Every model begins with the tab as index.html has it: it may have other patches, blocks and renderings.
  const markup = root.cloneNode(true);
  let ending = new AbortController();
  const begin = async (session: Session, sample: Sample | null): Promise<void> => {
    ending.abort();
    ending = new AbortController();
    const { signal } = ending;
    root.replaceChildren(...markup.cloneNode(true).childNodes);
    const look = new Look(root, session, signal, async (weights) => {
      const next = await Session.open(device, weights);
      if (signal.aborted) return next.dispose(); // another was chosen meanwhile
      session.dispose();
      await begin(next, look.sample);
    });
    await look.begin(sample);
  };
  await begin(await Session.open(device, await response.blob()), null);
}

class Look {
  readonly #root: HTMLElement;
  readonly #session: Session;
  readonly #signal: AbortSignal;
  readonly #openWeights: (weights: Blob) => Promise<void>;
  readonly #mask: Mask;
  readonly #seen: Board;
  readonly #rebuilt: Board;
  /** The newest picture as it came; null before there is one. */
  sample: Sample | null = null;
  /** The same, on the left. */
  #picture: Source | null = null;
  /** What the model answered last, on the right. */
  #shown: Shown | null = null;
  /** Milliseconds of the newest pass; null for the first, which compiles. */
  #took: number | null = null;
  #attention: Attention | null = null;
  /** How many pictures were chosen so far, and how often the right side was asked for something. */
  #pictures = 0;
  #asked = 0;
  /** Patches that pointer and keys are at, on the left and on the right. */
  #cursor: number | null = null;
  #gaze: number | null = null;
  readonly #loop = follow(
    (run) => requestAnimationFrame(run),
    () => this.#update(),
    (error) => this.#failed(error),
  );

  /** `open` looks through other weights; `signal` ends what listens beyond the tab. */
  constructor(root: HTMLElement, session: Session, signal: AbortSignal, open: (weights: Blob) => Promise<void>) {
    const { config } = session.view;
    this.#root = root;
    this.#session = session;
    this.#signal = signal;
    this.#openWeights = open;
    this.#mask = new Mask(config, session.maskRatio);
    this.#seen = new Board(find(root, 'canvas', '#seen'), config, () => this.#drawSeen(), signal);
    this.#rebuilt = new Board(find(root, 'canvas', '#rebuilt'), config, () => this.#drawRebuilt(), signal);
  }

  /** Shows this picture, or else the first of the samples. */
  async begin(sample: Sample | null): Promise<void> {
    find(this.#root, 'span', '#about').textContent = this.#session.describe();
    this.#wireControls();
    this.#wireBoards();
    const taker = {
      take: (picture: Sample | Promise<Sample>) => this.#take(picture),
      model: (weights: File) => this.#model(weights),
      say: (text: string, bad?: boolean) => this.#say(text, bad),
    };
    const showFirst = wireSources(this.#root, taker, this.#signal);
    await (sample ? this.#take(sample) : showFirst());
  }

  async #model(weights: File): Promise<void> {
    this.#say(`Reading ${weights.name}…`);
    try {
      await this.#openWeights(weights);
    } catch (error) {
      this.#say((error as Error).message, true);
    }
  }

  #say(text: string, bad = false): void {
    const said = find(this.#root, 'p', '#said');
    said.textContent = text;
    said.classList.toggle('bad', bad);
  }

  #chosen(name: string): string {
    return find(this.#root, 'input', `input[name="${name}"]:checked`).value;
  }

  /** Shows a picture, unless another was chosen before it could be read. */
  async #take(sample: Sample | Promise<Sample>): Promise<void> {
    const { view } = this.#session;
    const number = ++this.#pictures;
    this.#open();
    try {
      const read = await sample;
      if (number !== this.#pictures) return;
      if (sample instanceof Promise) this.#say('');
      this.sample = read;
      const img = modelInput(read, view);
      this.#picture = { img, pixels: pixelsOf(img, view) };
      this.#changed();
    } catch (error) {
      if (number === this.#pictures) this.#say((error as Error).message, true);
      this.#ask();
    }
  }

  /** Something was asked for that the right side does not show yet. */
  #open(): void {
    this.#asked++;
    find(this.#root, 'figure', '#made').setAttribute('aria-busy', 'true');
  }

  #ask(): void {
    this.#open();
    this.#loop.ask();
  }

  /** Mask or picture are others: the left side shows it at once, the right one as soon as the model has answered. */
  #changed(): void {
    const { count, patches, kind } = this.#mask;
    const part = `${Math.round((100 * count) / patches)} %`;
    find(this.#root, 'output', '#count').value = `${patches - count} of ${patches} patches`;
    find(this.#root, 'output', '#ratio').value = part;
    const slider = find(this.#root, 'input', '#slider');
    slider.value = String(count);
    slider.setAttribute('aria-valuetext', part);
    for (const radio of this.#root.querySelectorAll<HTMLInputElement>('input[name="kind"]'))
      radio.checked = radio.value === kind;
    this.#drawSeen();
    this.#ask();
  }

  async #update(): Promise<void> {
    const asked = this.#asked;
    if (this.#picture) await this.#answer(this.#picture, this.#mask.chosen());
    if (asked === this.#asked) this.#settle();
  }

  #settle(): void {
    find(this.#root, 'figure', '#made').setAttribute('aria-busy', 'false');
  }

  async #answer(picture: Source, mask: ChosenMask | null): Promise<void> {
    const began = performance.now();
    this.#session.show(picture.img);
    const pass = mask && (await this.#session.pass(mask));
    this.#took = this.#shown ? performance.now() - began : null;
    if (picture.img !== this.#shown?.img) this.#attention = null;
    if (this.#gaze !== null) this.#attention ??= await this.#session.attention();
    this.#shown = { ...picture, pass };
    this.#drawRebuilt();
  }

  /** A lost device is made anew; anything else is said. */
  async #failed(error: Error): Promise<void> {
    if (this.#signal.aborted) return;
    if (!(error instanceof DeviceLostError)) {
      this.#say(error.message, true);
      return this.#settle();
    }
    try {
      await this.#session.renew();
      this.#ask();
    } catch (again) {
      this.#say(`${(again as Error).message}. Reload the page to go on.`, true);
    }
  }

  #drawSeen(): void {
    if (!this.#picture) return;
    const board = this.#seen;
    board.picture(canvasOf(tileOf(this.#picture.pixels, this.#session.view.config)));
    board.tiles(this.#mask.hidden);
    if (this.#cursor !== null) board.frame(this.#cursor, 'var(--gold)');
  }

  #drawRebuilt(): void {
    if (!this.#shown) return;
    const { view } = this.#session;
    const way = this.#chosen('show') as Way;
    const { picture, psnr } = render(this.#shown, view, way, this.#chosen('statistics') as Statistics);
    const [board, patch, attention] = [this.#rebuilt, this.#gaze, this.#attention];
    const gazing = patch !== null && attention !== null;
    if (gazing) {
      const layer = find(this.#root, 'select', '#layer').value;
      const block = layer === 'all' ? null : Number(layer);
      board.picture(canvasOf(renderGaze(this.#shown.pixels, attention, patch, block, view)));
      board.frame(patch, 'var(--accent)');
    } else board.picture(canvasOf(picture));
    find(this.#root, 'p', '#hint').textContent = gazing ? GAZING : WAYS[way];
    const took = this.#took === null ? '' : ` · ${this.#took.toFixed(0)} ms`;
    find(this.#root, 'output', '#quality').value =
      psnr === null ? 'nothing is hidden' : `PSNR ${psnr.toFixed(1)} dB${took}`;
  }

  #wireControls(): void {
    const { view } = this.#session;
    const kindNow = (): Kind => this.#mask.kind ?? 'random';
    const slider = find(this.#root, 'input', '#slider');
    slider.max = String(this.#mask.patches - 1);
    slider.addEventListener('input', () => this.#redraw(kindNow(), Number(slider.value)));
    for (const radio of this.#root.querySelectorAll<HTMLInputElement>('input[name="kind"]'))
      radio.addEventListener('change', () => this.#redraw(radio.value as Kind, this.#mask.count));
    find(this.#root, 'button', '#again').addEventListener('click', () => {
      this.#mask.seed++;
      this.#redraw(kindNow(), this.#mask.count);
    });
    find(this.#root, 'button', '#swap').addEventListener('click', () => {
      if (this.#mask.swap()) this.#changed();
      else this.#say('Nothing is hidden: swapped, nothing would be left to see.');
    });
    for (const radio of this.#root.querySelectorAll('input[name="show"], input[name="statistics"]'))
      radio.addEventListener('change', () => this.#drawRebuilt());
    find(this.#root, 'fieldset', '#statistics').hidden = renderingsOf(view).length < 2;
    const layers = Array.from({ length: view.config.depth }, (_, block) =>
      make('option', { value: String(block) }, `Block ${block + 1} of ${view.config.depth}, mean of heads`),
    );
    layers[layers.length - 1].selected = true;
    const select = find(this.#root, 'select', '#layer');
    select.append(...layers, make('option', { value: 'all' }, 'All blocks (rollout)'));
    select.addEventListener('change', () => this.#drawRebuilt());
  }

  #redraw(kind: Kind, count: number): void {
    this.#mask.draw(kind, count);
    this.#say('');
    this.#changed();
  }

  #wireBoards(): void {
    let hide = true;
    const paint = (patches: readonly number[]): void => {
      const kept = patches.filter((l) => !this.#mask.paint(l, hide));
      this.#say(kept.length ? 'One patch stays: the model needs something to begin from.' : '');
      this.#changed();
    };
    const begin = (patch: number): void => {
      hide = !this.#mask.hidden[patch];
      paint([patch]);
    };
    listen(this.#seen, {
      down: begin,
      over: paint,
      at: (patch, by) => {
        if (patch === this.#cursor) return;
        this.#cursor = patch;
        if (by === 'keys' && patch !== null) this.#tell(patch);
        this.#drawSeen();
      },
      press: (patch) => {
        begin(patch);
        if (!find(this.#root, 'p', '#said').textContent) this.#tell(patch);
      },
    });
    listen(this.#rebuilt, {
      at: (patch) => {
        if (patch === this.#gaze) return;
        this.#gaze = patch;
        if (patch !== null && !this.#attention) this.#ask();
        else this.#drawRebuilt();
      },
    });
  }

  /** For those who hear the page. */
  #tell(patch: number): void {
    this.#say(`${placeOf(this.#seen, patch)}: ${this.#mask.hidden[patch] ? 'hidden' : 'seen'}`);
  }
}
