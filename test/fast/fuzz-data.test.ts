// Damaged and hostile data files: each mutant gives images or an error of ours, in under a second, in memory bounded by the file.
// npm run test:fuzz tries 10,000 of each format; SEED=N the same ones again.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { TesseraeError } from '../../engine/errors.ts';
import { random } from '../../kernels/random/random.ts';
import type { Dataset } from '../../mae/data/dataset.ts';
import { openData } from '../../mae/data/open.ts';
import { cifarRecords, gzip, idx, noise, npy, parquet, png, tar } from '../support/datafiles.ts';
import { mutants } from '../support/mutate.ts';

const COUNT = Number(process.env.FUZZ ?? 200);
const SEED = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const root = mkdtempSync(join(tmpdir(), 'tesserae-fuzz-'));
process.env.TESSERAE_CACHE = join(root, 'cache');
test.after(() => rmSync(root, { recursive: true, force: true }));

const rng = random(SEED);
type Files = Readonly<Record<string, Uint8Array>>;

/** A set whose file `damaged` is damaged, and what is opened. */
interface Case {
  readonly files: Files;
  readonly damaged: string;
  readonly open?: string;
}

const digits = (pack: (bytes: Uint8Array) => Uint8Array, suffix: string): Files => ({
  [`train-images-idx3-ubyte${suffix}`]: pack(idx([6, 4, 5], noise(rng, 120))),
  [`train-labels-idx1-ubyte${suffix}`]: pack(idx([6], noise(rng, 6))),
});
const shard = async () => {
  const picture = await png(50);
  const names = [
    'a/0.png',
    'a/0.cls',
    'b/1.json',
    'b/1.png',
    `${'long/'.repeat(30)}2.png`,
    `${'long/'.repeat(30)}2.cls`,
  ];
  const bodies: Record<string, Uint8Array> = { png: picture, cls: Buffer.from('2'), json: Buffer.from('{"label": 1}') };
  return tar(names.map((name) => [name, bodies[name.split('.')[1]]] as const));
};
const floats = () => npy('<f4', [3, 5, 6, 4], new Uint8Array(Float32Array.from({ length: 360 }, rng.normal).buffer));
const hundred = () => ({ 'train.bin': cifarRecords(rng, 3, [20, 100]), 'test.bin': cifarRecords(rng, 2, [20, 100]) });
const table = async (codec: 'SNAPPY' | 'UNCOMPRESSED') => {
  const pictures = await Promise.all([1, 2, 3, 4, 5].map((value) => png(50 * value)));
  return parquet(pictures, [0, 1, 2, 1, 0], { names: ['a', 'b', 'c'], rowGroupSize: 2, codec });
};

const CASES: Record<string, () => Promise<Case>> = {
  'idx images': async () => ({ files: digits((b) => b, ''), damaged: 'train-images-idx3-ubyte' }),
  'idx labels': async () => ({ files: digits((b) => b, ''), damaged: 'train-labels-idx1-ubyte' }),
  'idx images, packed': async () => ({ files: digits(gzip, '.gz'), damaged: 'train-images-idx3-ubyte.gz' }),
  CIFAR: async () => ({ files: hundred(), damaged: 'train.bin' }),
  'CIFAR archive': async () => {
    const entries = Object.entries(hundred()).map(([name, bytes]) => [`cifar-100-binary/${name}`, bytes] as const);
    return { files: { 'cifar.tar.gz': gzip(tar(entries)) }, damaged: 'cifar.tar.gz', open: 'cifar.tar.gz' };
  },
  tar: async () => ({ files: { 's.tar': await shard() }, damaged: 's.tar', open: 's.tar' }),
  npy: async () => ({ files: { 'train.npy': floats() }, damaged: 'train.npy', open: 'train.npy' }),
  'npy labels': async () => ({
    files: { 'train.npy': floats(), 'train_labels.npy': npy('<i8', [3], new Uint8Array(24)) },
    damaged: 'train_labels.npy',
    open: 'train.npy',
  }),
  parquet: async () => ({ files: { 't.parquet': await table('SNAPPY') }, damaged: 't.parquet', open: 't.parquet' }),
  'parquet, plain': async () => ({
    files: { 't.parquet': await table('UNCOMPRESSED') },
    damaged: 't.parquet',
    open: 't.parquet',
  }),
};

async function readAll(set: Dataset): Promise<void> {
  for (let i = 0; i < Math.min(set.length, 8); i++) {
    const { data, height, width, channels, label } = await set.read(i);
    assert.is(data.length, height * width * channels);
    assert.ok(Number.isInteger(label) && label >= -1 && label < (set.classes?.length ?? 1), `label ${label}`);
  }
}

/** Opens and reads; the milliseconds that it took, and whether it was refused. */
async function attempt(path: string, name: string): Promise<{ ms: number; refused: boolean }> {
  const began = performance.now();
  let refused = false;
  try {
    const { train, heldout, test: tests } = await openData(path);
    for (const set of [train, heldout, tests]) if (set) await readAll(set);
  } catch (error) {
    if (!(error instanceof TesseraeError)) throw new Error(`${name}: ${(error as Error).stack}`);
    assert.ok(error.message.length < 600 && !error.message.includes('\n'), error.message);
    refused = true;
  }
  return { ms: performance.now() - began, refused };
}

for (const [format, make] of Object.entries(CASES)) {
  test(`${COUNT} mutants of ${format}, seed ${SEED}`, async () => {
    const { files, damaged, open = '.' } = await make();
    const prototype = Object.getOwnPropertyNames(Object.prototype).join();
    const before = process.resourceUsage().maxRSS;
    let refusals = 0;
    let n = 0;
    for (const { name, bytes } of mutants(files[damaged], COUNT, SEED)) {
      // A folder of its own each: what is known of a file goes by its path and time.
      const folder = join(root, `${format.replaceAll(' ', '-')}-${n++}`);
      mkdirSync(folder);
      for (const [file, whole] of Object.entries(files))
        writeFileSync(join(folder, file), file === damaged ? bytes : whole);
      let { ms, refused } = await attempt(join(folder, open), name);
      // Once more where the machine may have been busy.
      if (ms > 1000) ms = Math.min(ms, (await attempt(join(folder, open), name)).ms);
      assert.ok(ms < 1000, `${name} took ${ms.toFixed(0)} ms`);
      refusals += Number(refused);
      rmSync(folder, { recursive: true });
      assert.is(Object.getOwnPropertyNames(Object.prototype).join(), prototype, name);
    }
    const grown = (process.resourceUsage().maxRSS - before) / 1024;
    assert.ok(grown < 400, `memory grew by ${grown.toFixed(0)} MB`);
    if (COUNT >= 100) assert.ok(refusals > 0, 'none was refused: the mutations are too weak');
  });
}

test.run();
