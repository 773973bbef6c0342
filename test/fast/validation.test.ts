// --val_fraction: which images are kept back for validation, by whom it is asked for, and when it is refused.
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { type Dataset, evenly, part, pick } from '../../mae/data/dataset.ts';
import { stampOf } from '../../mae/data/stamp.ts';
import { splitOff, type SplitRequest } from '../../mae/data/validation.ts';
import { labelledData } from '../../mae/evaluate/open.ts';
import { trainingData } from '../../mae/train/data.ts';
import { parsePretrainOptions } from '../../mae/train/options.ts';
import { silent } from '../../mae/train/reporter.ts';
import { thrown } from '../support/thrown.ts';

const rng = random(Date.now() % 2 ** 31);
let root = '';
test.before.each(() => {
  root = mkdtempSync(join(tmpdir(), 'tesserae-split-'));
});
test.after.each(() => rmSync(root, { recursive: true, force: true }));

test('a split by val_seed: every class gives its share, no image is in both, part and evenly keep labels', async () => {
  const length = 200 + rng.below(300);
  // The label of a sample is its number here, so that a set can be read back.
  const tagged: Dataset = {
    name: 'made',
    length,
    classes: null,
    channels: 3,
    mean: [0.5, 0.5, 0.5],
    std: [1, 1, 1],
    label: (index) => index % 5,
    read: async (i) => ({ data: new Uint8Array(3), height: 1, width: 1, channels: 3, label: i }),
  };
  const ids = async (of: Dataset): Promise<number[]> =>
    Promise.all(Array.from({ length: of.length }, async (_, i) => (await of.read(i)).label));
  const ascending = (numbers: number[]): number[] => [...numbers].sort((a, b) => a - b);
  const split = async (val_fraction: number, val_seed: number) => {
    const { train, val } = splitOff(tagged, { val_fraction, val_seed });
    return { train, val, trainIds: await ids(train), valIds: await ids(val) };
  };
  const { train, val, trainIds, valIds } = await split(0.15, 3);
  assert.equal(ascending([...trainIds, ...valIds]), [...Array(length).keys()]);
  assert.equal(valIds, ascending(valIds));
  assert.is(val.length, Math.floor(length * 0.15));
  for (let label = 0; label < 5; label++) {
    const all = [...Array(length).keys()].filter((i) => i % 5 === label).length;
    const kept = valIds.filter((id) => id % 5 === label).length;
    assert.ok(Math.abs(kept - 0.15 * all) <= 1, `${kept} of ${all}`);
  }
  assert.equal((await split(0.15, 3)).valIds, valIds);
  assert.not.equal((await split(0.15, 4)).valIds, valIds);
  for (const of of [part(train, 5, 20), evenly(train, 17), pick(val, Uint32Array.of(3, 1))]) {
    const labels = Array.from({ length: of.length }, (_, i) => of.label?.(i));
    assert.equal(
      labels,
      (await ids(of)).map((id) => id % 5),
    );
  }
  assert.throws(() => splitOff(part(tagged, 0, 3), { val_fraction: 0.1, val_seed: 0 }), /keeps 0 back and leaves 3/);
  const unlabelled = { ...tagged, label: undefined };
  assert.is(splitOff(unlabelled, { val_fraction: 0.5, val_seed: 0 }).val.length, Math.floor(length / 2));
});

test('what kept features are told apart by changes with every file, also where names and numbers stay', async () => {
  const folder = join(root, 'photos');
  for (const name of ['cats/0.png', 'cats/1.png', 'dogs/0.png']) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), name);
  }
  symlinkSync(folder, join(folder, 'dogs/upwards'));
  const first = await stampOf(folder);
  assert.is(await stampOf(folder), first);
  writeFileSync(join(folder, 'cats/1.png'), 'other bytes');
  const second = await stampOf(folder);
  assert.is.not(second, first);
  // A label is mended: the image changes places with one of the other class.
  renameSync(join(folder, 'cats/0.png'), join(folder, 'x'));
  renameSync(join(folder, 'dogs/0.png'), join(folder, 'cats/0.png'));
  renameSync(join(folder, 'x'), join(folder, 'dogs/0.png'));
  utimesSync(join(folder, 'cats/0.png'), 1, 1);
  assert.is.not(await stampOf(folder), second);
  assert.is.not(await stampOf(join(folder, 'cats/0.png')), await stampOf(join(folder, 'cats/1.png')));
  assert.is(await stampOf('cifar10'), '');
});

test('labels that lie in a file of their own count, too, where one file or the beginning of a name says the set', async () => {
  for (const [path, labels] of [
    ['images.npy', 'labels.npy'],
    ['train-images-idx3-ubyte', 'train-labels-idx1-ubyte'],
    ['emnist-letters', 'emnist-letters-train-labels-idx1-ubyte.gz'],
  ]) {
    if (path.includes('images')) writeFileSync(join(root, path), 'pixels');
    writeFileSync(join(root, labels), 'a');
    const before = await stampOf(join(root, path));
    assert.is(await stampOf(join(root, path)), before);
    writeFileSync(join(root, labels), 'of other classes');
    assert.is.not(await stampOf(join(root, path)), before, labels);
  }
});
test('what is asked for beats the checkpoint, which beats a tenth; a set with validation images is not divided again', async () => {
  for (const split of ['train', 'val']) {
    for (let i = 0; i < 20; i++) {
      const folder = join(root, split, i % 2 ? 'dogs' : 'cats');
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, `${i}.png`), 'not looked at');
    }
  }
  const train = join(root, 'train');
  const lengths = async (request?: SplitRequest) => {
    const { train: rest, val, source } = await labelledData(train, undefined, request);
    const [, stamp, split] = /^(.*?)(, .*)$/.exec((await source()).slice(train.length)) ?? [];
    assert.match(stamp, /^ [0-9a-f]{32}$/);
    return [rest.length, val.length, split];
  };
  assert.equal(await lengths(), [18, 2, ', val_fraction 0.1, val_seed 0']);
  const recipe = { val_fraction: 0.5, val_seed: 7, other: null };
  assert.equal(await lengths({ recipe }), [10, 10, ', val_fraction 0.5, val_seed 7']);
  const asked = { val_fraction: 0.2, val_seed: undefined };
  assert.equal(await lengths({ recipe, asked }), [16, 4, ', val_fraction 0.2, val_seed 7']);
  assert.equal(await lengths({ recipe: { val_fraction: null } }), [18, 2, ', val_fraction 0.1, val_seed 0']);

  const divided = await labelledData(root, undefined, { recipe });
  assert.equal([divided.train.length, divided.val.length], [20, 20]);
  assert.match(await divided.source(), / [0-9a-f]{32}$/);
  const twice = await thrown(() => labelledData(root, undefined, { asked }));
  assert.is(twice.message, `--val_fraction 0.2: ${root} has 20 validation images already: leave it out`);

  const pretraining = async (path: string, flags: Record<string, unknown>) => {
    const { train: rest, heldout } = await trainingData(parsePretrainOptions({ data_path: path, ...flags }), silent);
    return [rest.length, heldout?.length ?? null];
  };
  assert.equal(await pretraining(train, {}), [20, null]);
  assert.equal(await pretraining(train, { val_fraction: 0.25, val_seed: 3 }), [15, 5]);
  assert.equal(await pretraining(train, { val_fraction: 0.25, heldout: 2, evidence_freq: 1 }), [15, 2]);
  assert.equal(await pretraining(train, { heldout: 4 }), [16, 4]);
  // A folder lists one class after the other: what is kept back is of both, and what is left is all the rest.
  const { train: rest, heldout } = await trainingData(parsePretrainOptions({ data_path: train, heldout: 4 }), silent);
  const named = (set: Dataset | null): string[] =>
    Array.from({ length: set?.length ?? 0 }, (_, i) => set?.id?.(i) ?? '');
  const labels = Array.from({ length: 4 }, (_, i) => heldout?.label?.(i));
  assert.equal([labels.filter((l) => l === 0).length, labels.filter((l) => l === 1).length], [2, 2]);
  assert.is(new Set([...named(rest), ...named(heldout)]).size, 20);
  const notes: string[] = [];
  const telling = { ...silent, note: (line: string) => void notes.push(line) };
  await trainingData(parsePretrainOptions({ data_path: root }), telling);
  assert.match(notes.join(), /20 images for validation are there; --heldout 20 /);
  const refused = await thrown(() => pretraining(root, { val_fraction: 0.25 }));
  assert.match(refused.message, /has 20 validation images already/);
});
test.run();
