// The worker that a run lives in: the page stays quick whatever a step takes, and a hidden tab slows nothing down.
import { Engine, openDevice } from '../../../engine/index.ts';
import { beginning } from './begin.ts';
import type { News, Order, Start } from './messages.ts';
import { commandFor, precisionOf } from './recipe.ts';
import { LiveTrainer } from './trainer.ts';

/** What is used of a worker's own scope; the page's types are without it. */
interface Scope {
  postMessage(news: News, transfer?: Transferable[]): void;
  addEventListener(kind: 'message', listen: (event: MessageEvent<Order>) => void): void;
}
const scope = globalThis as unknown as Scope;

const tell = (news: News): void =>
  scope.postMessage(news, news.kind === 'shots' ? [news.original.buffer, news.masked.buffer, news.pasted.buffer] : []);
const failed = (error: Error): void => tell({ kind: 'state', state: 'failed', why: error.message });

/** Answers the tab; the first order must be to start. */
export function begin(): void {
  let trainer: Promise<LiveTrainer> | null = null;
  scope.addEventListener('message', ({ data: order }) => {
    if (order.kind === 'start') {
      trainer = start(order);
      trainer.then((made) => made.train()).catch(failed);
    } else void trainer?.then((made) => obey(made, order)).catch(failed);
  });
}

async function start(order: Start): Promise<LiveTrainer> {
  tell({ kind: 'state', state: 'opening' });
  const begun = await beginning(order, (line) => tell({ kind: 'note', line }));
  const device = await openDevice(navigator.gpu);
  const engine = new Engine(device, { precision: precisionOf(begun.from) });
  return new LiveTrainer({ engine, ...begun, tell });
}

async function obey(trainer: LiveTrainer, order: Exclude<Order, Start>): Promise<void> {
  if (order.kind === 'change') {
    const { kind: _, ...changes } = order;
    trainer.change(changes);
  } else if (order.kind === 'pause') trainer.pause();
  else if (order.kind === 'resume') trainer.resume();
  else if (order.kind === 'lose') trainer.lose();
  else {
    const { step, bytes } = await trainer.checkpoint();
    const name = `tesserae-step-${step}.safetensors`;
    const file = new File(bytes as Uint8Array<ArrayBuffer>[], name, { type: 'application/octet-stream' });
    tell({ kind: 'saved', step, file, command: commandFor(name, trainer.options) });
  }
}
