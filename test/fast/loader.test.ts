// The loader: order, resume, bounded look-ahead, errors where they belong, and packed boxes that resize to PIL's bytes.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { resizeAcross, resizeDown } from '../../kernels/augment/augment.ref.ts';
import { random } from '../../kernels/random/random.ts';
import type { Dataset, Sample } from '../../mae/data/dataset.ts';
import { type Batch, batchCount, loadBatches, type LoaderOptions } from '../../mae/data/loader.ts';
import { newCapacities } from '../../mae/data/pack.ts';
import { centrePlaces, epochOrder, randomPlaces } from '../../mae/data/sampler.ts';
import { resized, wholePixels } from '../support/packed.ts';

const unhandled: unknown[] = [];
process.on('unhandledRejection', (reason) => unhandled.push(reason));
const rng = random(Date.now() % 2 ** 31);
const pause = (ms: number) => new Promise((wake) => setTimeout(wake, ms));

/** Random images of random sizes, which take a random while to read; `reads` counts, `fail` names those that cannot be read. */
function images(length: number, { channels = 3, fail = [] as number[], slow = 3 } = {}) {
  const samples: Sample[] = Array.from({ length }, (_, i) => {
    const [height, width] = [1 + rng.below(40), 1 + rng.below(40)];
    const data = Uint8Array.from({ length: height * width * channels }, () => rng.below(256));
    return { data, height, width, channels, label: i % 7 };
  });
  const reads = { started: [] as number[], running: 0, most: 0 };
  const dataset: Dataset = {
    name: 'random',
    length,
    classes: null,
    channels,
    mean: [0.5],
    std: [0.25],
    read: async (index) => {
      reads.started.push(index);
      reads.most = Math.max(reads.most, ++reads.running);
      await pause(rng.below(slow));
      reads.running--;
      if (fail.includes(index)) throw new Error(`image /pictures/${index}.jpg cannot be read`);
      return samples[index];
    },
  };
  return { dataset, samples, reads };
}

const output = { chans: 3, height: 12, width: 16 };
const options = (order: Uint32Array, more: Partial<LoaderOptions> = {}): LoaderOptions => ({
  order,
  batchSize: 4,
  output,
  place: randomPlaces(1, 2),
  ...more,
});

async function collect(dataset: Dataset, o: LoaderOptions): Promise<Batch[]> {
  const all: Batch[] = [];
  for await (const batch of loadBatches(dataset, o)) all.push(batch);
  return all;
}

const pictures = (batch: Batch): Float64Array => resized(batch, output);

test('batches come in order with a short last one, and without it on request', async () => {
  const { dataset } = images(18);
  const order = epochOrder(3, 0, 18);
  const all = await collect(dataset, options(order));
  assert.equal(
    all.map((b) => b.index),
    [0, 1, 2, 3, 4],
  );
  assert.equal(
    all.flatMap((b) => [...b.ids]),
    [...order],
  );
  assert.equal(
    all.map((b) => b.ids.length),
    [4, 4, 4, 4, 2],
  );
  for (const b of all) for (const [k, id] of b.ids.entries()) assert.is(b.labels[k], id % 7);
  assert.equal([batchCount(18, 4), batchCount(16, 4), batchCount(0, 4)], [5, 4, 0]);
});

test('each image is cropped, resized and flipped to the bytes that PIL would give', async () => {
  const { dataset, samples } = images(9);
  const order = epochOrder(5, 1, 9);
  const o = options(order);
  for (const batch of await collect(dataset, o)) {
    const got = pictures(batch);
    for (const [k, id] of batch.ids.entries()) {
      const { data, height, width } = samples[id];
      const { box, flip } = o.place(id, { height, width });
      const cut = Uint8Array.from({ length: box.height * box.width * 3 }, (_, i) => {
        const [y, x, c] = [Math.floor(i / 3 / box.width), Math.floor(i / 3) % box.width, i % 3];
        return data[((box.top + y) * width + box.left + x) * 3 + c];
      });
      const want = resizeDown(resizeAcross(cut, box.height, box.width, 3, 16), box.height, 16, 3, 12);
      for (let c = 0; c < 3; c++) {
        for (let y = 0; y < 12; y++) {
          for (let x = 0; x < 16; x++) {
            const value = got[((k * 3 + c) * 12 + y) * 16 + (flip ? 15 - x : x)];
            assert.is(value, want[(y * 16 + x) * 3 + c], `image ${id}, ${c} ${y} ${x}`);
          }
        }
      }
    }
  }
});

test('a resume within the epoch gives the same batches; so does another look-ahead', async () => {
  const { dataset } = images(18);
  const order = epochOrder(3, 0, 18);
  const whole = await collect(dataset, options(order));
  const tail = await collect(dataset, options(order, { startBatch: 3, ahead: 1, concurrency: 1 }));
  assert.equal(
    tail.map((b) => b.index),
    [3, 4],
  );
  for (const [i, b] of tail.entries()) {
    assert.equal(b.ids, whole[3 + i].ids);
    assert.equal(pictures(b), pictures(whole[3 + i]));
  }
});

test('images too large for a buffer together are resized on the host, to the same bytes', async () => {
  const { dataset } = images(12);
  const order = epochOrder(4, 0, 12);
  const plain = await collect(dataset, options(order));
  const tight = await collect(dataset, options(order, { output: { ...output, maxBytes: 4 * 768 } }));
  for (const [i, b] of tight.entries()) {
    assert.ok(4 * b.words <= 4 * 768 && wholePixels(b).length === b.words && b.mid_words * 4 <= 4 * 768);
    assert.equal(pictures(b), pictures(plain[i]));
  }
  const tiny = { ...output, maxBytes: 1000 };
  let message = '';
  await collect(dataset, options(order, { output: tiny })).catch((error: Error) => (message = error.message));
  assert.match(message, /4 images of 12x16x3 need 3072 bytes, one buffer holds 1000: lower batch_size/);
});

test('reading stays a fixed number of batches ahead, and decodes a fixed number at a time', async () => {
  const { dataset, reads } = images(80, { slow: 2 });
  const order = epochOrder(6, 0, 80);
  let taken = 0;
  for await (const _ of loadBatches(dataset, options(order, { ahead: 2, concurrency: 3 }))) {
    taken++;
    await pause(12);
    assert.ok(reads.started.length <= (taken + 2) * 4, `${reads.started.length} reads started at batch ${taken}`);
  }
  assert.is(taken, 20);
  assert.equal(reads.started, [...order], 'reads start in order');
  assert.is(reads.most, 3);
});

test('buffers of a run settle on one size', async () => {
  const { dataset } = images(64);
  const capacities = newCapacities();
  await collect(dataset, options(epochOrder(1, 0, 64), { capacities }));
  const settled = { ...capacities };
  const again = await collect(dataset, options(epochOrder(1, 0, 64), { capacities }));
  assert.equal({ ...capacities }, settled);
  // Other boxes fit as well, or make the buffers grow once or twice: not every batch a size of its own.
  const sizes = new Set<string>();
  for (let epoch = 1; epoch <= 8; epoch++) {
    const place = randomPlaces(8, 8 + epoch);
    const batches = await collect(dataset, options(epochOrder(1, epoch, 64), { capacities, place }));
    for (const b of batches) sizes.add(`${b.words} ${b.taps.length} ${b.mid_words}`);
  }
  assert.ok(sizes.size <= 5, `${sizes.size} sizes in 8 epochs`);
  for (const b of again)
    assert.equal([b.words, b.taps.length, b.mid_words], [settled.words, settled.taps, settled.mid]);
});

test('a file that cannot be read fails its own batch, with its name, and nothing else', async () => {
  const { dataset, reads } = images(40, { fail: [9, 11] });
  const order = Uint32Array.from({ length: 40 }, (_, i) => i);
  const seen: number[] = [];
  let message = '';
  try {
    for await (const batch of loadBatches(dataset, options(order, { ahead: 3 }))) {
      seen.push(batch.index);
      await pause(15);
    }
  } catch (error) {
    message = (error as Error).message;
  }
  assert.equal(seen, [0, 1]);
  assert.match(message, /\/pictures\/(9|11)\.jpg cannot be read/);
  assert.is(reads.running, 0);
  const before = reads.started.length;
  await pause(20);
  assert.is(reads.started.length, before, 'nothing is read after the failure');
});

test('leaving early stops the reading', async () => {
  const { dataset, reads } = images(60);
  for await (const _ of loadBatches(dataset, options(epochOrder(0, 0, 60)))) break;
  assert.is(reads.running, 0);
  const before = reads.started.length;
  assert.ok(before <= 12);
  await pause(20);
  assert.is(reads.started.length, before);
});

test("channels must be the model's", async () => {
  const { dataset } = images(4, { channels: 1 });
  const order = epochOrder(0, 0, 4);
  let message = '';
  await collect(dataset, options(order, { place: centrePlaces(output) })).catch(
    (error: Error) => (message = error.message),
  );
  assert.match(message, /images have 1 channels, the model takes 3/);
});

test('no rejection went unhandled', async () => {
  await pause(10);
  assert.equal(unhandled, []);
});
test.run();
