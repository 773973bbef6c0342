// The dashboard's page: listens to the server's events for as long as it is open, and comes back to a server that was gone.
import type { Events, Run } from '../../dashboard/wire.ts';
import { domOf, setText } from '../parts/dom.ts';
import { h } from '../parts/markup.ts';
import { progress } from '../../report/say.ts';
import { followTheme, toggleTheme } from '../theme.ts';
import { Board } from './board.ts';
import { LiveRun } from './live-run.ts';

/** After a connection that was refused. */
const AGAIN_MS = 1000;

class Page {
  readonly #status = domOf(h('p', { class: 'status', role: 'status' }, 'connecting'));
  #runs: LiveRun[] = [];
  #board: Board | null = null;
  #gone = false;

  constructor() {
    const theme = domOf(h('button', { type: 'button', class: 'theme', 'aria-label': 'light or dark' }));
    theme.addEventListener('click', toggleTheme);
    const brand = domOf(
      h('p', { class: 'brand' }, h('img', { src: '/icon.svg', alt: '', width: '22', height: '22' }), 'Tesserae'),
    );
    const top = domOf(h('div', { class: 'top' }));
    top.append(brand, this.#status, theme);
    document.body.replaceChildren(top);
  }

  connect(): void {
    const source = new EventSource('/events');
    const on = <K extends keyof Events>(event: K, take: (data: Events[K]) => void): void =>
      source.addEventListener(event, ({ data }: MessageEvent<string>) => take(JSON.parse(data)));
    on('all', (runs) => this.#all(runs));
    on('lines', ({ id, metrics, epochs }) => {
      const run = this.#runs[id];
      run?.add(metrics, epochs, (metric, step, value) => this.#board?.add(run, metric, step, value));
      this.#update();
    });
    on('standing', ({ id, ...standing }) => {
      if (this.#runs[id]) this.#runs[id].standing = standing;
      this.#update();
    });
    on('comparison', (comparison) => this.#board?.compare(comparison));
    on('bye', () => void (this.#gone = true));
    source.addEventListener('error', () => {
      this.#connected(false);
      if (source.readyState !== EventSource.CLOSED) return;
      source.close();
      setTimeout(() => this.connect(), AGAIN_MS);
    });
  }

  #all(runs: readonly Run[]): void {
    this.#gone = false;
    const same = runs.length === this.#runs.length && runs.every(({ path }, i) => path === this.#runs[i].path);
    if (same) for (const [i, run] of runs.entries()) this.#runs[i].take(run);
    else {
      this.#board?.close();
      this.#runs = runs.map((run) => new LiveRun(run, runs));
      this.#board = new Board(this.#runs);
      document.body.append(this.#board.element);
    }
    this.#board?.show();
    this.#connected(true);
    this.#update();
  }

  #connected(yes: boolean): void {
    setText(
      this.#status,
      yes ? 'live' : this.#gone ? 'the command that served this has ended' : 'connection lost, trying again',
    );
    this.#status.dataset.live = String(yes);
    this.#board?.connected(yes);
  }

  #update(): void {
    this.#board?.update();
    const [run] = this.#runs;
    if (!run) return;
    const { step, total } = progress(run);
    const part = total ? `${Math.floor((100 * step) / total)} % ` : '';
    document.title = this.#runs.length > 1 ? `${this.#runs.length} runs - Tesserae` : `${part}${run.name} - Tesserae`;
  }
}

export function begin(): void {
  followTheme();
  new Page().connect();
}
