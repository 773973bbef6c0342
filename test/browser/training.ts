// The page's training worker, ordered about by a test: what it tells is kept, in short.
import type { News, Order, Settings } from '../../mae/web/train/messages.ts';

/** What is used of a page; the tests are compiled without the types of one. */
interface PageWorker {
  postMessage(order: Order): void;
  addEventListener(kind: string, listen: (event: { readonly data: News; readonly message: string }) => void): void;
  terminate(): void;
}
const { Worker } = globalThis as unknown as { Worker: new (address: string, options: object) => PageWorker };

export interface Told {
  readonly state: string;
  readonly why: string;
  readonly notes: readonly string[];
  /** Losses by step, in the order in which they came. */
  readonly losses: readonly (readonly [step: number, loss: number])[];
  readonly heldout: readonly (readonly [step: number, loss: number])[];
  readonly rewound: readonly number[];
  readonly kernels: readonly string[];
  /** Of the last step told. */
  readonly bytes: number;
  readonly pace: number;
  /** Steps at which the fixed images came, and of the last ones how many pixels of the masked column are not the original's. */
  readonly shots: readonly number[];
  readonly hidden: number;
  readonly began: { readonly done: number; readonly images: number; readonly heldout: number } | null;
  readonly command: string;
}

const nothing = () => ({
  ...{
    state: 'none',
    why: '',
    notes: [] as string[],
    losses: [] as [number, number][],
    heldout: [] as [number, number][],
  },
  ...{ rewound: [] as number[], kernels: [] as string[], bytes: 0, pace: 0, shots: [] as number[], hidden: 0 },
  ...{ began: null as Told['began'], command: '' },
});
let told = nothing();
let worker: PageWorker | null = null;
let saved: ((file: File) => void) | null = null;
let wake = (): void => {};

function hear(news: News): void {
  if (news.kind === 'state') [told.state, told.why] = [news.state, news.why ?? ''];
  else if (news.kind === 'note') told.notes.push(news.line);
  else if (news.kind === 'steps') {
    for (const { step, loss } of news.steps) told.losses.push([step, loss]);
    [told.bytes, told.pace] = [news.bytes, news.imagesPerSecond];
  } else if (news.kind === 'heldout') told.heldout.push([news.step, news.loss]);
  else if (news.kind === 'rewound') told.rewound.push(news.step);
  else if (news.kind === 'kernels') told.kernels = news.kernels.map(({ kernel }) => kernel);
  else if (news.kind === 'began') told.began = { done: news.done, images: news.images, heldout: news.heldout };
  else if (news.kind === 'shots') {
    told.shots.push(news.step);
    told.hidden = news.masked.filter((value, i) => value !== news.original[i]).length / news.masked.length;
  } else {
    told.command = news.command;
    saved?.(news.file);
  }
  wake();
}

/** A run on images of these addresses, or on those that come with the page; `checkpoint` is a file in base64. */
export async function start(
  settings: Settings,
  images: readonly string[] | null,
  checkpoint: string | null,
): Promise<void> {
  worker?.terminate();
  told = nothing();
  worker = new Worker('/train.js', { type: 'module' });
  worker.addEventListener('message', ({ data }) => hear(data));
  worker.addEventListener('error', ({ message }) => {
    [told.state, told.why] = ['failed', message];
    wake();
  });
  const files =
    images &&
    (await Promise.all(
      images.map(async (address) => {
        const blob = await (await fetch(address)).blob();
        return [`folder${address}`, new File([blob], address)] as const;
      }),
    ));
  const file = checkpoint === null ? null : await (await fetch(`data:;base64,${checkpoint}`)).blob();
  order({ kind: 'start', settings, sheet: '/images/cifar10.webp', files, checkpoint: file });
}

export function order(one: Order): void {
  worker?.postMessage(one);
}

const last = (): number => told.losses.at(-1)?.[0] ?? told.began?.done ?? 0;

/** Waits for a step's loss, or for the run to fail. */
export async function reached(step: number): Promise<Told> {
  while (last() < step && told.state !== 'failed') await changed();
  return told;
}

/** Waits for the fixed images to have come so often. */
export async function shown(times: number): Promise<Told> {
  while (told.shots.length < times && told.state !== 'failed') await changed();
  return told;
}

/** Waits for a state, or for the run to fail. */
export async function entered(state: string): Promise<Told> {
  while (told.state !== state && told.state !== 'failed') await changed();
  return told;
}

/** What more is told within this time. */
export async function later(ms: number): Promise<Told> {
  await new Promise((done) => setTimeout(done, ms));
  return told;
}

const changed = (): Promise<void> =>
  new Promise((done) => {
    wake = done;
  });

/** The run's checkpoint, in base64. */
export async function checkpoint(): Promise<string> {
  const file = await new Promise<File>((done) => {
    saved = done;
    order({ kind: 'checkpoint' });
  });
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = '';
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}
