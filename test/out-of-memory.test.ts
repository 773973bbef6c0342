// A device that has no room: whichever buffer is refused, and however, the error says which and how large, nothing is left over, and a smaller
// batch runs on the same engine with the numbers of an engine that never met a refusal.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { CapacityError, OutOfMemoryError } from '../engine/errors.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { random } from '../kernels/random/random.ts';
import { parsePretrainOptions } from '../mae/train/options.ts';
import { pretrain } from '../mae/train/pretrain.ts';
import { silent } from '../mae/train/reporter.ts';
import { fakeCifar } from './support/kill-resume.ts';
import { spyOn } from './support/spy.ts';
import { tinyBatch, tinyTraining } from './support/tiny.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const most = Number(process.env.REFUSALS ?? 12);
console.log(`SEED=${seed}`);
const rng = random(seed);
const device = await openDawn({ profile: 'simt' });
const { gpu } = device;
const spy = spyOn(gpu);

/** More than any device has: Dawn makes an invalid buffer and tells the error scope. */
const HUGE = gpu.limits.maxBufferSize;
/** The number of the createBuffer call that fails next, from 1; 0: none. */
let failing = 0;
let calls = 0;
let how: 'thrown' | 'told' = 'thrown';
let refused = (_: GPUBufferDescriptor): boolean => false;
const createBuffer = gpu.createBuffer.bind(gpu);
Object.defineProperty(gpu, 'createBuffer', {
  value: (descriptor: GPUBufferDescriptor) => {
    if (++calls !== failing && !refused(descriptor)) return createBuffer(descriptor);
    if (how === 'thrown') throw new RangeError('createBuffer failed, size is too large for the implementation');
    return createBuffer({ ...descriptor, size: HUGE });
  },
});

async function refuses(): Promise<boolean> {
  gpu.pushErrorScope('out-of-memory');
  const buffer = createBuffer({ size: HUGE, usage: 128 });
  const error = await device.wait(gpu.popErrorScope());
  buffer.destroy();
  return error !== null;
}

type Training = ReturnType<typeof tinyTraining>;
const begin = (engine: Engine): Training => tinyTraining(engine, seed, { clipNorm: 1 });
const lossOf = async ({ trainer }: Training, batch: number): Promise<number> => {
  const results = await trainer.step([tinyBatch(batch, seed), tinyBatch(batch, seed + 1)], { lr: 1e-3 });
  return (await results[1].read()).loss[0];
};

/** Steps of ever larger batches: each makes buffers of its own. */
const LARGER = [8, 10, 12, 14, 16, 18, 20];
let all = 0;
/** The loss of a batch of 3 after so many of the larger steps, and the bytes that are held then. */
const want: { loss: number; bytes: number }[] = [];

test('without a refusal', async () => {
  const before = spy.buffers.size;
  for (let done = 0; done <= LARGER.length; done++) {
    const engine = new Engine(device);
    calls = 0;
    const training = begin(engine);
    for (const batch of LARGER.slice(0, done)) await lossOf(training, batch);
    all = calls;
    want.push({ loss: await lossOf(training, 3), bytes: spy.bytes });
    engine.dispose();
  }
  assert.is(spy.buffers.size, before);
  console.log(`${all} buffers are created`);
  assert.ok(all > 200);
});

for (const kind of ['thrown', 'told'] as const) {
  test(`every createBuffer call may be refused, ${kind}: typed, nothing left over, a smaller batch runs`, async () => {
    if (kind === 'told' && !(await refuses())) return console.log('this device has room for anything: skipped');
    how = kind;
    const numbers = Array.from({ length: Math.min(200, all) }, (_, i) => i + 1);
    while (numbers.length > most) numbers.splice(rng.below(numbers.length), 1);
    const labels = new Set<string>();
    for (const number of numbers) {
      const before = spy.buffers.size;
      const engine = new Engine(device);
      let training: Training | null = null;
      let done = 0;
      let anew = false;
      [failing, calls] = [number, 0];
      try {
        training = begin(engine);
        for (const batch of LARGER) {
          await lossOf(training, batch);
          done++;
        }
        assert.unreachable(`call ${number} was refused and nobody noticed`);
      } catch (error) {
        assert.instance(error, OutOfMemoryError, `call ${number}: ${(error as Error).stack}`);
        const { message, what, bytes: wanted } = error as OutOfMemoryError;
        assert.ok(wanted > 0 && message.includes(`no room for ${what}, ${wanted} bytes`), message);
        assert.match(message, /use a smaller batch$/);
        labels.add(what);
      }
      failing = 0;
      // Weights that had no room are lost, and say so; then the model has to be made anew, on the same engine.
      const got = await (training ? lossOf(training, 3) : Promise.reject(new OutOfMemoryError('', 0, 0))).catch((e) => {
        assert.instance(e, OutOfMemoryError, `call ${number}: ${e.stack}`);
        anew = true;
        return lossOf(begin(engine), 3);
      });
      assert.is(got, want[done].loss, `call ${number}`);
      device.check();
      const { bytes } = want[done];
      if (!anew)
        assert.ok(spy.bytes <= 1.5 * bytes, `call ${number}: ${spy.bytes} bytes are held, ${bytes} without a refusal`);
      engine.dispose();
      assert.is(spy.buffers.size, before, `call ${number} left buffers`);
    }
    console.log(`${kind}: ${[...labels].join(', ')}`);
  });

  test(`a copy to the host without room, ${kind}: typed, and the values are still there`, async () => {
    if (kind === 'told' && !(await refuses())) return;
    how = kind;
    const engine = new Engine(device);
    const v = engine.variable('v', [2], { data: Float32Array.of(1, 2) });
    await engine.read(v);
    [failing, calls] = [1, 0];
    const error = await engine.read(v).catch((e: Error) => e);
    assert.instance(error, OutOfMemoryError);
    failing = 0;
    assert.equal(Array.from(await engine.read(v)), [1, 2]);
    engine.dispose();
  });
}

test('training says how much it wanted, for what, and which batch would fit', async () => {
  const home = mkdtempSync(join(tmpdir(), 'tesserae-room-'));
  try {
    fakeCifar(join(home, 'data'), seed);
    const sizes = { model: 'mae_vit_nano_patch4_32', embed_dim: 48, depth: 1, decoder_depth: 1 };
    const flags = { ...sizes, data_path: join(home, 'data'), output_dir: join(home, 'run'), heldout: 0 };
    // The step's buffers come after those of the images: most of them are there when one is refused.
    [failing, calls, how] = [0, 0, 'thrown'];
    refused = ({ label, size }) => label === 'transient' && size > 200_000 && calls > 40;
    const engine = new Engine(device);
    const error = await pretrain(engine, parsePretrainOptions({ ...flags, batch_size: 32 }), silent).catch((e) => e);
    refused = () => false;
    assert.instance(error, CapacityError, error.stack);
    const found =
      /^pretrain: memory: the device has no room for transient, [\d.]+ [KM]iB, beside the ([\d.]+) MiB that are in use; micro-batches of 32 images need ([\d.]+) MiB by their plan, those of (\d+) would fit: give --memory (\d+KiB),/.exec(
        error.message,
      );
    assert.ok(found, error.message);
    const [held, needed, batch] = (found ?? []).slice(1, 4).map(Number);
    const memory = found?.[4];
    assert.ok(held < needed && batch >= 1 && batch < 32, error.message);
    const notes: string[] = [];
    const { done } = await pretrain(engine, parsePretrainOptions({ ...flags, batch_size: 32, memory, max_steps: 2 }), {
      ...silent,
      note: (line) => notes.push(line),
    });
    assert.is(done, 2);
    const cut = /a pass of 32 images is computed as \d+ micro-batches of (\d+)/.exec(notes.join('\n'));
    assert.ok(cut && Number(cut[1]) <= batch, notes.join('\n'));
    engine.dispose();
  } finally {
    rmSync(home, { recursive: true });
  }
});

test('nothing went wrong unseen', async () => {
  await device.wait(gpu.queue.onSubmittedWorkDone());
  device.check();
  device.dispose();
});
test.run();
