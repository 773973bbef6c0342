// Threads that read images: the batches of one thread, bit for bit; the same damage and errors; no hang where one fails; no start for nothing.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { TesseraeError } from '../../engine/errors.ts';
import { random } from '../../kernels/random/random.ts';
import { Budget, budgetMemory } from '../../mae/data/budget.ts';
import { withChannels } from '../../mae/data/channels.ts';
import { DamagedImage, replacements } from '../../mae/data/damage.ts';
import { type Dataset, part, pick } from '../../mae/data/dataset.ts';
import { type Batch, loadBatches, type LoaderOptions } from '../../mae/data/loader.ts';
import { openData } from '../../mae/data/open.ts';
import {
  centrePlaces,
  epochOrder,
  evalPlaces,
  type Place,
  placeOf,
  randomPlaces,
  weakPlaces,
} from '../../mae/data/sampler.ts';
import { loadSharp } from '../../mae/data/sharp.ts';
import { readingThreads, STANDARD_THREADS } from '../../mae/data/threads.ts';
import { parquet, tar } from '../support/datafiles.ts';
import { resized, wholePixels } from '../support/packed.ts';
import { Scratch } from '../support/scratch.ts';
import { refusal } from '../support/thrown.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const rng = random(seed);
const scratch = new Scratch();
const COUNT = 48;
/** Of the images, those that are cut off, and one that is empty. */
const CUT = [5, 17, 30];
const EMPTY = 31;
const output = { chans: 3, height: 24, width: 32 };

/** Photographs of many kinds as bytes, small and larger than a piece, with some that are damaged. */
async function encoded(): Promise<Buffer[]> {
  const sharp = await loadSharp();
  const made = Array.from({ length: COUNT }, async (_, i) => {
    const channels = ([3, 3, 3, 1, 4] as const)[i % 5];
    const [height, width] = i % 12 === 0 ? [260, 340] : [20 + rng.below(60), 20 + rng.below(60)];
    const raw = { height, width, channels };
    const image = sharp(Buffer.from(Uint8Array.from({ length: height * width * channels }, () => rng.below(256))), {
      raw,
    });
    const bytes = await (channels === 4 ? image.png() : image.jpeg({ quality: 90 })).toBuffer();
    if (i === EMPTY) return Buffer.alloc(0);
    return CUT.includes(i) ? bytes.subarray(0, Math.floor(bytes.length * 0.7)) : bytes;
  });
  return Promise.all(made);
}

let sets: Record<string, Dataset>;
test.before(async () => {
  scratch.make();
  const { root } = scratch;
  const images = await encoded();
  for (const [i, bytes] of images.entries()) {
    mkdirSync(join(root, 'folder', `class${i % 3}`), { recursive: true });
    writeFileSync(join(root, 'folder', `class${i % 3}`, `${String(i).padStart(3, '0')}.jpg`), bytes);
  }
  const entries = images.flatMap((bytes, i): [string, Uint8Array][] => [
    [`${i}.jpg`, bytes],
    [`${i}.cls`, Buffer.from(String(i % 3))],
  ]);
  writeFileSync(join(root, 'shard.tar'), tar(entries));
  writeFileSync(
    join(root, 'rows.parquet'),
    parquet(
      images,
      images.map((_, i) => i % 3),
    ),
  );
  const open = async (name: string) => (await openData(join(root, name))).train;
  sets = { folder: await open('folder'), tar: await open('shard.tar'), parquet: await open('rows.parquet') };
});
test.after(() => scratch.remove());

/** An epoch that is long enough for threads: every image several times. */
const epoch = (set: Dataset): Uint32Array => Uint32Array.from(epochOrder(seed, 1, 300), (place) => place % set.length);

async function collect(set: Dataset, more: Partial<LoaderOptions>): Promise<Batch[]> {
  const all: Batch[] = [];
  const place = randomPlaces(seed, 1);
  const replacement = replacements(seed, 1, set.length);
  const options = { order: epoch(set), batchSize: 37, place, replacement, output, ...more };
  for await (const batch of loadBatches(set, options)) all.push(batch);
  return all;
}

type Located = NonNullable<Dataset['read']['encoded']>;
/** The set with another way to find its images. */
const relocated = (set: Dataset, locate: Located['locate']): Dataset => ({
  ...set,
  read: Object.assign((index: number) => set.read(index), { encoded: { ...(set.read.encoded as Located), locate } }),
});

const hash = ({ buffer, byteOffset, byteLength }: ArrayBufferView): string =>
  createHash('sha256')
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest('hex');

/** All of a batch that anyone sees, down to the errors' messages. */
const shown = (batch: Batch) => {
  const { index, ids, labels, images, taps, words, mid_words, damaged } = batch;
  const errors = damaged.map((each) => each.map(({ message, path, why }) => [message, path, why]));
  return { index, words, mid_words, errors, arrays: [ids, labels, images, taps, wholePixels(batch)].map(hash) };
};

async function sameBatches(set: Dataset, more: Partial<LoaderOptions> = {}, counts = [1, 3]): Promise<Batch[]> {
  const here = await collect(set, { ...more, workers: 0 });
  const want = here.map(shown);
  for (const workers of counts) {
    const got = (await collect(set, { ...more, workers })).map(shown);
    assert.equal(got, want, `${set.name}, ${workers} threads`);
  }
  return here;
}

test('few images start no thread, sets that need no decoding never do', async () => {
  assert.is(await readingThreads(3, 20), null);
  assert.is(await readingThreads(0, 1e6), null);
  assert.ok(STANDARD_THREADS >= 1 && STANDARD_THREADS <= 10);
  const plain: Dataset = { ...sets.folder, read: async () => ({ ...(await sets.folder.read(0)) }) };
  await collect(plain, { workers: 3 });
  assert.is(await readingThreads(3, 20), null, 'none has been started');
});

test(`0, 1 and 3 threads give the same batches, with the same images in place of the damaged ones (SEED=${seed})`, async () => {
  const [folder] = [await sameBatches(sets.folder)];
  const damaged = new Set(folder.flatMap((b) => b.damaged.flat()).map(({ path }) => path.slice(-7, -4)));
  assert.equal(
    [...damaged].sort(),
    [...CUT, EMPTY].map((i) => String(i).padStart(3, '0')),
  );
  await sameBatches(sets.tar, {}, [3]);
  await sameBatches(sets.parquet, {}, [3]);
});

test('so they do in grey, as evaluation crops, from the middle of an epoch; and of some images of a set', async () => {
  const grey = { output: { ...output, chans: 1 }, place: evalPlaces(output, 0.875), startBatch: 1 };
  await sameBatches(withChannels(sets.folder, 1), grey, [3]);
  await sameBatches(pick(part(sets.tar, 2, 40), Uint32Array.from([3, 9, 20, 39])), {}, [2]);
});

test('a manner of cropping that was told to a thread is the same there', () => {
  const made: Place[] = [randomPlaces(seed, 2), weakPlaces(seed, 3), centrePlaces(output), evalPlaces(output, 0.875)];
  for (const place of made) {
    const told = placeOf(structuredClone(place.told!));
    for (let id = 0; id < 50; id++) {
      const image = { height: 1 + rng.below(500), width: 1 + rng.below(500) };
      assert.equal(told(id, image), place(id, image));
    }
  }
});

test('where boxes do not fit together, some are resized there already, to the same images', async () => {
  // Which of them depends on the order of arrival.
  const maxBytes = 37 * 32 * 24 * 3 * 1.5;
  const order = epoch(sets.tar);
  const plain = await collect(sets.tar, { order, workers: 0 });
  const tight = await collect(sets.tar, { order, workers: 3, output: { ...output, maxBytes } });
  for (const [i, batch] of tight.entries()) {
    assert.ok(4 * batch.words <= maxBytes);
    assert.equal(hash(resized(batch, output)), hash(resized(plain[i], output)));
  }
});

test('what cannot be read fails the same batch with the same error, and nothing is left behind', async () => {
  for (const workers of [0, 2]) {
    const seen: number[] = [];
    const order = epoch(sets.folder).map((id) => ([...CUT, EMPTY].includes(id) ? 0 : id));
    order[100] = CUT[1];
    let error: unknown;
    try {
      const options = { order, batchSize: 20, place: randomPlaces(1, 1), output, workers };
      // Sorted by class and name, the folder's indices are not the names.
      for await (const batch of loadBatches(sets.tar, options)) seen.push(batch.index);
    } catch (thrown) {
      error = thrown;
    }
    assert.equal(seen, [0, 1, 2, 3, 4], `${workers}`);
    assert.instance(error, DamagedImage);
    assert.match((error as Error).message, /^image .*shard\.tar: 17 cannot be read \(.+\): replace it/);
  }
  const channels = () => collect(sets.folder, { output: { ...output, chans: 1 }, workers: 2 });
  assert.is(await refusal(channels), 'loader: images have 3 channels, the model takes 1');
  const gone = relocated(sets.folder, () => Promise.reject(new TesseraeError('the disk is gone')));
  assert.is(await refusal(() => collect(gone, { workers: 2 })), 'the disk is gone');
});

test('a thread that fails is an error and no hang, and the next loader has new ones', async () => {
  // A manner of cropping that no thread knows.
  const place = Object.assign(randomPlaces(1, 1), { told: ['none'] as never });
  const failing = () => collect(sets.folder, { place, workers: 3 });
  assert.match(
    await refusal(failing),
    /^data: a thread that reads images failed \(.*\): try again, or without threads \(--num_workers 0\)$/,
  );
  await sameBatches(sets.tar, {}, [2]);
});

test('a loader that is left early reads no further', async () => {
  let asked = 0;
  const locate = (sets.tar.read.encoded as Located).locate;
  const counted = relocated(sets.tar, (index) => {
    asked++;
    return locate(index);
  });
  const order = epoch(sets.tar);
  const options = { order, batchSize: 16, place: randomPlaces(1, 1), output, replacement: () => 0, workers: 2 };
  for await (const _ of loadBatches(counted, options)) break;
  assert.ok(asked <= 4 * 16, `${asked} images`);
});

test('the budget holds over threads, first come first served, and no ticket is lost', async () => {
  const memory = budgetMemory();
  const budgets = [new Budget(100, memory), new Budget(100, memory), new Budget(100, memory)];
  const begun: number[] = [];
  let taken = 0;
  const work = Array.from({ length: 90 }, (_, i) =>
    budgets[i % 3].within(i % 10 === 0 ? 1000 : 40, async () => {
      begun.push(i);
      taken += i % 10 === 0 ? 100 : 40;
      assert.ok(taken <= 100, `${taken}`);
      await new Promise((wake) => setTimeout(wake, rng.below(2)));
      taken -= i % 10 === 0 ? 100 : 40;
    }),
  );
  await Promise.all(work);
  assert.equal(
    begun,
    Array.from(work, (_, i) => i),
  );
});

test('a program ends when it is done, and at once when it is told to, whatever its threads do', async () => {
  const program = (end: string) => `
    const { openData } = await import(${JSON.stringify(new URL('../../mae/data/open.ts', import.meta.url).href)});
    const { loadBatches } = await import(${JSON.stringify(new URL('../../mae/data/loader.ts', import.meta.url).href)});
    const { centrePlaces } = await import(${JSON.stringify(new URL('../../mae/data/sampler.ts', import.meta.url).href)});
    const { train } = await openData(${JSON.stringify(join(scratch.root, 'folder'))});
    const output = ${JSON.stringify(output)};
    const order = new Uint32Array(600);
    const options = { order, batchSize: 8, place: centrePlaces(output), output, workers: 2 };
    for await (const batch of loadBatches(train, options)) if (batch.index === 3) ${end};
    process.stdout.write('done');`;
  const register = new URL('../../tools/register.mjs', import.meta.url).href;
  const ended = (end: string): Promise<[code: number | null, out: string]> =>
    new Promise((settle) => {
      const args = ['--import', register, '--input-type=module', '-e', program(end)];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      let out = '';
      child.stdout.on('data', (text) => (out += text));
      child.on('close', (code) => settle([code, out]));
    });
  assert.equal(await Promise.all([ended('break'), ended('process.exit(7)')]), [
    [0, 'done'],
    [7, ''],
  ]);
});
test.run();
