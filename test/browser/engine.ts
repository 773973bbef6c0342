// A life of the engine in a page: made on a device of its own or of the page's, used, disposed of; and what a page keeps of tuning.
import { add, Engine, gelu, keepPick, loadPicks, openDevice, PickDatabase, useDevice } from '../../engine/index.ts';
import { gpu } from './gpu.ts';

const compiled = (engine: Engine) =>
  engine.compile({ a: 'f32', b: 'f32' }, ({ a, b }) => ({ y: gelu({ x: add({ a, b }, {}).y }, {}).y }));

export interface Round {
  readonly y: number[];
  /** Bytes on the device while the engine lived, and once it did not. */
  readonly bytes: readonly [number, number];
  /** Whether the page's own device still works then. */
  readonly usable: boolean;
  readonly message: string;
}

/** gelu(a + b) on a device that belongs to the page. */
export async function round(a: number[], b: number[]): Promise<Round> {
  const adapter = (await gpu().requestAdapter())!;
  const owned = await adapter.requestDevice();
  const device = await useDevice(owned);
  const engine = new Engine(device);
  const program = compiled(engine);
  const host = (values: number[]) => ({ data: Float32Array.from(values), shape: [values.length] });
  const inputs = { a: host(a), b: host(b) };
  const y = Array.from((await (await program.run(inputs)).read()).y);
  const message = await program.run({ ...inputs, b: host([1, 2, 3]) }).then(
    () => '',
    (error: Error) => error.message,
  );
  const { bytes } = engine.stats;
  engine.dispose();
  device.dispose();
  const buffer = owned.createBuffer({ size: 16, usage: 8 | 4 });
  owned.queue.writeBuffer(buffer, 0, Float32Array.of(1));
  const gone = owned.lost.then(() => false);
  const usable = await Promise.race([gone, owned.queue.onSubmittedWorkDone().then(() => true)]);
  return { y, bytes: [bytes, engine.stats.bytes], usable, message };
}

/** Keeps a pick of this adapter in IndexedDB. @returns the shape classes kept of it so far */
export async function keep(shapeClass: string): Promise<string[]> {
  using device = await openDevice(gpu());
  const store = new PickDatabase();
  await keepPick(device, store, shapeClass, { knobs: { TM: 4 }, own: 2, best: 1 });
  return Object.keys((await store.read(device.adapter.id))!.picks);
}

/** What a device takes from there, and what is there once it was cleared. */
export async function kept(shapeClass: string): Promise<{ knobs: unknown; adapters: string[]; cleared: unknown[] }> {
  using device = await openDevice(gpu());
  const store = new PickDatabase();
  await loadPicks(device, store);
  const adapters = (await store.list()).map(({ adapter }) => adapter);
  await store.clear();
  return { knobs: device.picks.get(shapeClass), adapters, cleared: await store.list() };
}
