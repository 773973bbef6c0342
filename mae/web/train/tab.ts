// The tab in which a model is trained from nothing, or goes on from a checkpoint, while one looks.
import { find } from '../dom.ts';
import { droppedFiles, isCheckpoint, isImage, pickedFiles } from './files.ts';
import type { News, Order, Saved, Settings, State } from './messages.ts';
import { Results } from './results.ts';

/** Learning rates of the slider. */
const RATES = [1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 3e-4, 5e-4, 7e-4, 1e-3, 1.5e-3, 2e-3, 3e-3, 5e-3, 7e-3, 1e-2];
/** Steps that nobody wants to lose. */
const WORTH_ASKING = 200;
/** Where the worker and the images lie beside the page. */
const WORKER = 'train.js';
const SHEET = 'images/cifar10.webp';

/** What is said of a state. */
const SAYS: Readonly<Record<Exclude<State, 'running' | 'failed'> | 'none', string>> = {
  none: 'Press Start, or drop a checkpoint or a folder of pictures here.',
  opening: 'Opening pictures and device …',
  paused: 'Paused.',
  ended: 'All epochs are done.',
};

type Files = readonly (readonly [path: string, file: File])[];

class TrainTab {
  readonly #root: HTMLElement;
  readonly #results: Results;
  readonly #form: HTMLFormElement;
  readonly #said: HTMLElement;
  /** What is said of the pictures of the page. */
  readonly #shipped: string;
  #worker: Worker | null = null;
  #state: State | 'none' = 'none';
  #files: Files | null = null;
  /** The step up to which the run is safe: in a file. */
  #safe = 0;
  /** Ends the lock that is held while it trains. */
  #unlock = (): void => {};

  constructor(root: HTMLElement) {
    this.#root = root;
    this.#results = new Results(root);
    this.#form = find(root, 'form', 'form');
    this.#said = find(root, 'p', '.said');
    this.#shipped = find(root, 'p', '#pictures').textContent ?? '';
    const on = (id: string, act: () => void): void => find(root, 'button', id).addEventListener('click', act);
    on('#go', () => this.#go());
    on('#end', () => void (this.#mayEnd() && this.#end()));
    on('#save', () => this.#order({ kind: 'checkpoint' }));
    on('#lose', () => this.#order({ kind: 'lose' }));
    const [ratio, rate] = [this.#input('mask_ratio'), this.#input('lr')];
    rate.max = String(RATES.length - 1);
    for (const slider of [ratio, rate]) slider.addEventListener('input', () => this.#showLive());
    // When it is let go: every ratio is a program of its own.
    ratio.addEventListener('change', () => this.#change({ mask_ratio: this.#settings().mask_ratio }));
    rate.addEventListener('change', () => this.#change({ lr: this.#settings().lr }));
    const [folder, open] = [find(root, 'input', '#folder'), find(root, 'input', '#open')];
    for (const input of [folder, open])
      input.addEventListener('change', () => {
        this.#take(pickedFiles(input.files as FileList));
        // The same may be picked again.
        input.value = '';
      });
    for (const choice of root.querySelectorAll('input[name="data"]'))
      choice.addEventListener('change', () => this.#showData());
    root.addEventListener('dragover', (event) => event.preventDefault());
    root.addEventListener('drop', (event) => {
      event.preventDefault();
      event.stopPropagation();
      if (event.dataTransfer) void droppedFiles(event.dataTransfer).then((files) => this.#take(files));
    });
    addEventListener('beforeunload', (event) => {
      if (this.#atRisk >= WORTH_ASKING) event.preventDefault();
    });
    this.#showLive();
    this.#showData();
    // Nothing can be pressed before it is heard.
    open.disabled = false;
    this.#enter('none');
  }

  #input(name: string): HTMLInputElement {
    return find(this.#form, 'input', `input[name="${name}"]`);
  }

  #settings(): Settings {
    const chosen = (name: string): string => find(this.#form, 'select', `select[name="${name}"]`).value;
    return {
      model: chosen('model'),
      side: this.#own ? Number(chosen('side')) : 32,
      batch_size: Number(chosen('batch_size')),
      norm_pix_loss: this.#input('norm_pix_loss').checked,
      seed: 0,
      mask_ratio: Number(this.#input('mask_ratio').value) / 100,
      lr: RATES[Number(this.#input('lr').value)],
    };
  }

  get #own(): boolean {
    return find(this.#form, 'input', 'input[name="data"][value="own"]').checked;
  }

  /** What the sliders stand at; of a run that goes on, what it had. */
  #showLive(live: { mask_ratio: number; lr: number } = this.#settings()): void {
    find(this.#form, 'output', '#ratio-now').value = `${Math.round(100 * live.mask_ratio)} %`;
    find(this.#form, 'output', '#rate-now').value = String(live.lr);
  }

  #showData(): void {
    const text = this.#files
      ? `${this.#files.length.toLocaleString('en-US')} pictures; they stay on this computer.`
      : 'Choose a folder, or drop one here. It stays on this computer.';
    find(this.#form, 'p', '#pictures').textContent = this.#own ? text : this.#shipped;
    find(this.#form, 'label', '#side').hidden = !this.#own;
    find(this.#form, 'label', '#choose').hidden = !this.#own;
    find(this.#form, 'input', '#folder').hidden = !this.#own;
  }

  /** Pictures to train on, or a checkpoint to go on from. */
  #take(files: Files): void {
    const checkpoint = files.find(isCheckpoint);
    if (checkpoint) {
      if (this.#mayEnd()) this.#start(checkpoint[1]);
      return;
    }
    const pictures = files.filter(isImage);
    if (!pictures.length) {
      this.#say('There is neither a picture (.jpg, .png, .webp) nor a checkpoint (.safetensors) in it.');
      return;
    }
    if (this.#busy) {
      this.#say('A run keeps its pictures: end it to train on others.');
      return;
    }
    this.#files = pictures;
    find(this.#form, 'input', 'input[name="data"][value="own"]').checked = true;
    this.#showData();
    this.#say('');
  }

  #go(): void {
    if (this.#state === 'running') this.#order({ kind: 'pause' });
    else if (this.#state === 'paused') this.#order({ kind: 'resume' });
    else if (this.#mayEnd()) this.#start(null);
  }

  get #busy(): boolean {
    return ['opening', 'running', 'paused'].includes(this.#state);
  }

  /** A run of many steps is not lost by a slip of the hand. */
  #mayEnd(): boolean {
    const lost = this.#atRisk;
    if (lost < WORTH_ASKING) return true;
    return confirm(
      `End this run? ${lost.toLocaleString('en-US')} of its steps are in no checkpoint that was downloaded.`,
    );
  }

  get #atRisk(): number {
    return this.#worker ? this.#results.step - this.#safe : 0;
  }

  #start(checkpoint: File | null): void {
    if (this.#own && !this.#files) {
      this.#say('Choose a folder of pictures first.');
      return;
    }
    this.#end();
    this.#results.clear();
    this.#safe = 0;
    this.#enter('opening');
    const worker = new Worker(WORKER, { type: 'module' });
    this.#worker = worker;
    worker.addEventListener('message', ({ data }: MessageEvent<News>) => worker === this.#worker && this.#hear(data));
    worker.addEventListener('error', ({ message }) => this.#enter('failed', message || 'the worker cannot be loaded'));
    const sheet = new URL(SHEET, document.baseURI).href;
    this.#order({
      kind: 'start',
      settings: this.#settings(),
      sheet,
      files: this.#own ? this.#files : null,
      checkpoint,
    });
    // Browsers do not freeze a hidden page that holds a lock.
    void navigator.locks?.request('tesserae training', async () => {
      if (worker === this.#worker) await new Promise<void>((done) => (this.#unlock = done));
    });
  }

  #order(order: Order): void {
    this.#worker?.postMessage(order);
  }

  #change(changes: { readonly mask_ratio?: number; readonly lr?: number }): void {
    if (!this.#worker) return;
    this.#order({ kind: 'change', ...changes });
    const [[name, value]] = Object.entries(changes);
    this.#results.note(`${name} is ${value} from the next step on`);
  }

  /** Ends the run, if there is one. */
  #end(): void {
    this.#worker?.terminate();
    this.#worker = null;
    this.#unlock();
    find(this.#root, 'p', '#command').hidden = true;
    this.#enter('none');
  }

  #hear(news: News): void {
    const { kind } = news;
    if (kind === 'state') this.#enter(news.state, news.why);
    else if (kind === 'saved') this.#give(news);
    else if (kind === 'note') {
      this.#results.note(news.line);
      this.#say(news.line);
    } else if (kind === 'began') {
      this.#results.began(news);
      this.#safe = Math.max(this.#safe, news.done);
      this.#input('mask_ratio').value = String(Math.round(100 * news.mask_ratio));
      this.#input('lr').value = String(nearestRate(news.lr));
      this.#showLive(news);
    } else if (kind === 'steps') this.#results.steps(news);
    else if (kind === 'heldout') this.#results.heldout(news);
    else if (kind === 'shots') this.#results.shots(news);
    else if (kind === 'kernels') this.#results.kernels(news);
    else this.#results.rewound(news);
  }

  #enter(state: State | 'none', why = ''): void {
    this.#state = state;
    this.#root.dataset.state = state;
    find(this.#form, 'fieldset', '#choices').disabled = this.#busy;
    const go = find(this.#form, 'button', '#go');
    go.textContent = { running: 'Pause', paused: 'Go on', opening: 'Opening …' }[state as string] ?? 'Start';
    go.disabled = state === 'opening';
    find(this.#form, 'button', '#end').disabled = !this.#busy;
    for (const id of ['#save', '#lose'])
      find(this.#root, 'button', id).disabled = ![
        'running',
        'paused',
        ...(id === '#save' && this.#results.step > 0 ? ['ended', 'failed'] : []),
      ].includes(state);
    // What was told of the run stays in sight; what was told of its state does not.
    if (state !== 'running') this.#say(state === 'failed' ? why : SAYS[state]);
    else if (Object.values(SAYS).includes(this.#said.textContent ?? '')) this.#say('');
    if (state === 'failed' || state === 'ended') this.#unlock();
  }

  #say(text: string): void {
    this.#said.textContent = text;
  }

  /** The checkpoint as a download, and how Node goes on from it. */
  #give({ file, step, command }: Saved): void {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(file);
    link.download = file.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    this.#safe = step;
    this.#say(`${file.name} holds the run as it is after ${step.toLocaleString('en-US')} steps.`);
    const where = find(this.#root, 'p', '#command');
    where.hidden = false;
    find(where, 'code', 'code').textContent = command;
  }
}

const nearestRate = (lr: number): number => {
  const off = RATES.map((rate) => Math.abs(Math.log(rate / lr)));
  return off.indexOf(Math.min(...off));
};

export function mountTrain(root: HTMLElement): void {
  new TrainTab(root);
}
