// Damaged images: who stands in for them, what is written of them, when a run ends; what evaluation leaves out; memory.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { Budget } from '../../mae/data/budget.ts';
import { DamagedImage, damagedOf, DamageLedger, NO_DAMAGE, overReadable, replacements } from '../../mae/data/damage.ts';
import type { Dataset, Sample } from '../../mae/data/dataset.ts';
import { type Batch, loadBatches, type LoaderOptions } from '../../mae/data/loader.ts';
import { centrePlaces, epochOrder, randomPlaces } from '../../mae/data/sampler.ts';
import { wholePixels } from '../support/packed.ts';
import { thrown } from '../support/thrown.ts';
import { openLedger } from '../../mae/train/damaged.ts';
import { Journal } from '../../mae/train/journal.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const rng = random(seed);
const pause = (ms: number) => new Promise((wake) => setTimeout(wake, ms));
let root = '';
test.before.each(() => {
  root = mkdtempSync(join(tmpdir(), 'tesserae-damage-'));
});
test.after.each(() => rmSync(root, { recursive: true, force: true }));

/** Images whose pixels all are their own number; every read takes another while. */
function images(length: number, damaged: ReadonlySet<number>): Dataset {
  return {
    name: 'made',
    length,
    classes: null,
    channels: 3,
    mean: [0.5, 0.5, 0.5],
    std: [1, 1, 1],
    label: (index) => index % 5,
    read: async (index): Promise<Sample> => {
      await pause(rng.below(3));
      if (damaged.has(index)) throw new DamagedImage(`/pictures/${index}.jpg`, 'it is cut off');
      const [height, width] = [4 + (index % 3), 4 + (index % 4)];
      return {
        data: new Uint8Array(height * width * 3).fill(index),
        height,
        width,
        channels: 3,
        label: index % 5,
      };
    },
  };
}

const some = (length: number, count: number): Set<number> => {
  const chosen = new Set<number>();
  while (chosen.size < count) chosen.add(rng.below(length));
  return chosen;
};

const output = { chans: 3, height: 4, width: 4 };

async function collect(dataset: Dataset, options: Partial<LoaderOptions> & { order: Uint32Array }): Promise<Batch[]> {
  const all: Batch[] = [];
  const defaults = { batchSize: 4, output, place: randomPlaces(1, 2) };
  for await (const batch of loadBatches(dataset, { ...defaults, ...options })) all.push(batch);
  return all;
}

/** For every slot in turn: whose pixels are there, and the label. */
const shown = (batches: readonly Batch[]) =>
  batches.flatMap((batch) => {
    const { ids, labels, images: table } = batch;
    const bytes = new Uint8Array(wholePixels(batch).buffer);
    return Array.from(ids, (id, slot) => ({ id, label: labels[slot], pixel: bytes[table[slot * 10]] }));
  });

test(`another image stands in, whatever the batches, the workers and the place of a resume (SEED=${seed})`, async () => {
  const length = 150;
  const damaged = some(length, 12);
  const dataset = images(length, damaged);
  const order = epochOrder(seed, 3, length);
  const replacement = replacements(seed, 3, length);
  const whole = shown(await collect(dataset, { order, replacement }));
  assert.equal(
    whole.map(({ id }) => id),
    [...order],
    'the numbers that draws are keyed by stay',
  );
  for (const { id, label, pixel } of whole) {
    assert.not.ok(damaged.has(pixel));
    assert.is(label, pixel % 5, 'the label is that of the image shown');
    if (!damaged.has(id)) assert.is(pixel, id);
  }
  for (const [batchSize, concurrency, ahead, startBatch] of [
    [1, 1, 1, 0],
    [7, 4, 3, 0],
    [32, 10, 2, 2],
    [150, 3, 1, 0],
  ]) {
    const again = await collect(dataset, { order, replacement, batchSize, concurrency, ahead, startBatch });
    assert.equal(shown(again), whole.slice(startBatch * batchSize), `${[batchSize, concurrency, ahead, startBatch]}`);
  }
  const others = shown(await collect(dataset, { order, replacement: replacements(seed, 4, length) }));
  assert.not.equal(others, whole, 'another epoch has other replacements');
});

test('every damaged image that was met is told of, with its batch; other failures are failures', async () => {
  const dataset = images(60, some(60, 9));
  const order = epochOrder(seed, 0, 60);
  const batches = await collect(dataset, { order, replacement: replacements(seed, 0, 60) });
  let replaced = 0;
  for (const batch of batches) {
    const bad = [...batch.ids].filter((id, slot) => shown([batch])[slot].pixel !== id);
    replaced += bad.length;
    assert.equal(batch.damaged.map(([first]) => first.path).sort(), bad.map((id) => `/pictures/${id}.jpg`).sort());
  }
  assert.is(replaced, 9);
  const gone: Dataset = { ...dataset, read: () => Promise.reject(new Error('the network is down')) };
  const error = await thrown(() => collect(gone, { order, replacement: replacements(seed, 0, 60) }));
  assert.is(error.message, 'the network is down');
  const none = images(60, new Set(order));
  const hopeless = await thrown(() => collect(none, { order, replacement: replacements(seed, 0, 60) }));
  assert.match(
    hopeless.message,
    /^data: none of 21 images could be read, the last \/pictures\/\d+\.jpg \(it is cut off\)/,
  );
  const strict = await thrown(() => collect(images(60, new Set([order[0]])), { order }));
  assert.instance(strict, DamagedImage);
});

test('the ledger writes every path once, counts on after a resume, and ends the run above 5 %', async () => {
  const notes: string[] = [];
  const one = (i: number) => [new DamagedImage(`/pictures/${i}.jpg`, 'it is cut off')];
  const lines = () => readFileSync(join(root, 'damaged.txt'), 'utf8').split('\n').slice(0, -1);
  const journal = new Journal({ output_dir: root, keep: 0 }, 'pretrain', () => {});
  const ledger = await openLedger(journal, 400, (line) => notes.push(line));
  let count = NO_DAMAGE;
  for (let i = 0; i < 12; i++) count = await ledger.after(count, 20, [one(i)]);
  count = await ledger.after(count, 20, [one(0), one(3)]);
  assert.is(lines().length, 12);
  assert.is(lines()[7], '/pictures/7.jpg\tit is cut off');
  assert.is(notes.length, 11);
  assert.match(notes[10], /more damaged images are listed in .*damaged\.txt only/);
  assert.equal(count, { seen: 260, replaced: 14 });
  const resumed = await openLedger(journal, 400, () => {});
  count = await resumed.after(count, 20, [one(5), one(12)]);
  assert.is(lines().length, 13, 'known paths are not written again');
  // 20 of 400 are borne, whatever comes first.
  count = await resumed.after(count, 20, [one(20), one(21), one(22), one(23)]);
  const error = await thrown(() => resumed.after(count, 20, [one(24)]));
  assert.match(
    error.message,
    /^data: 21 damaged within the first 320 images that were read, 20 are borne \(5 % of the 400 in the set\): \/pictures\/5\.jpg \(it is cut off\), .+; all that were met are in .*damaged\.txt: mend the data$/,
  );
});

test('of a large set the first thousand images are waited for', async () => {
  const ledger = new DamageLedger(1e6, [], 'damaged.txt', async () => {});
  const bad = (count: number) => Array.from({ length: count }, (_, i) => [new DamagedImage(`/p/${i}`, 'x')]);
  const early = await ledger.after(NO_DAMAGE, 64, bad(50));
  const later = await ledger.after(early, 1936, bad(50));
  const late = await thrown(() => ledger.after(later, 1, bad(1)));
  assert.match(late.message, /^data: 101 damaged within the first 2001 images .*, 100 are borne \(5 % of these\)/);
  const soon = await thrown(() => new DamageLedger(1e6, [], 'x', async () => {}).after(NO_DAMAGE, 64, bad(51)));
  assert.match(soon.message, /^data: 51 damaged within the first 64 images .*, 50 are borne \(5 % of the first 1000\)/);
  const few = await thrown(() => new DamageLedger(6, [], 'x', async () => {}).after(NO_DAMAGE, 4, bad(1)));
  assert.match(few.message, /^data: 1 damaged within the first 4 images .*, 0 are borne \(5 % of the 6 in the set\)/);
});

test('evaluation leaves damaged images out, once and audibly, or ends', async () => {
  const length = 100;
  const damaged = some(length, 5);
  const dataset = images(length, damaged);
  const notes: string[] = [];
  const evaluate = (set: Dataset) =>
    overReadable(
      set,
      (line) => notes.push(line),
      async (order) => {
        const batches = await collect(set, { order, place: centrePlaces(output) });
        return shown(batches).map(({ pixel }) => pixel);
      },
    );
  const good = Array.from({ length }, (_, i) => i).filter((i) => !damaged.has(i));
  assert.equal(await evaluate(dataset), good);
  assert.equal(await evaluate(dataset), good);
  assert.is(notes.length, 1);
  assert.match(notes[0], /^made: 5 of 100 images are damaged and left out: \/pictures\/\d+\.jpg, .*, …$/);
  const error = await thrown(() => evaluate(images(length, some(length, 6))));
  assert.match(error.message, /^data: 6 of 100 images of made are damaged: .*more than 5 % end it/);
});

test('with a slow device and large images, what is decoded stays within bounds', async () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const [height, width] = [1500, 2000];
  const size = height * width * 3;
  let most = 0;
  gc();
  const before = process.memoryUsage().arrayBuffers;
  const measure = (): void => {
    gc();
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  };
  let reads = 0;
  const photographs: Dataset = {
    ...images(48, new Set()),
    read: async () => {
      if (reads++ % 4 === 0) measure();
      return { data: new Uint8Array(size).fill(reads), height, width, channels: 3, label: 0 };
    },
  };
  const order = epochOrder(seed, 0, 48);
  const maxBytes = 2 ** 25;
  const small = { chans: 3, height: 64, width: 64, maxBytes };
  for await (const _ of loadBatches(photographs, {
    order,
    batchSize: 8,
    ahead: 2,
    concurrency: 3,
    output: small,
    place: randomPlaces(1, 1),
  })) {
    await pause(20);
    measure();
  }
  assert.is(reads, 48);
  // A batch's boxes and their copy for the device, for those ahead, the one being filled and the one handed out; images being decoded; one for
  // the intermediate of what is resized here. All 48 images have 432 MB.
  const bound = 4 * 2 * maxBytes + 4 * size;
  assert.ok(most > size && most < bound, `${most} bytes, allowed are ${bound}`);
});

test('what is decoded at the same time stays within its budget, in order, and the largest go alone', async () => {
  const budget = new Budget(100);
  const begun: number[] = [];
  let [taken, most, running] = [0, 0, 0];
  const amounts = Array.from({ length: 60 }, () => (rng.below(8) === 0 ? 150 : 1 + rng.below(60)));
  const results = await Promise.allSettled(
    amounts.map((amount, i) =>
      budget.within(amount, async () => {
        begun.push(i);
        taken += amount;
        running++;
        assert.ok(taken <= 100 || running === 1, `${taken} by ${running}`);
        most = Math.max(most, taken);
        await pause(rng.below(3));
        taken -= amount;
        running--;
        if (i % 7 === 0) throw new Error('damaged');
        return i;
      }),
    ),
  );
  assert.equal(begun, [...amounts.keys()]);
  assert.ok(most > 60);
  assert.is(results.filter(({ status }) => status === 'rejected').length, 9);
});
test(`every damaged image is found, and those that are good told in order (seed ${seed})`, async () => {
  const bad = new Set([0, 7, 8, 20]);
  const [good, done]: [number[], number[]] = [[], []];
  const found = await damagedOf(
    images(21, bad),
    (count) => done.push(count),
    (id) => good.push(id),
  );
  assert.is(found.length, bad.size);
  assert.equal(
    good,
    Array.from({ length: 21 }, (_, id) => id).filter((id) => !bad.has(id)),
  );
  assert.is(done.at(-1), 21);
});

test.run();
