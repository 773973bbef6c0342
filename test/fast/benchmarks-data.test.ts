// CIFAR and MNIST with its kin, as distributed: packed or not, in every layout; files of other kinds are named.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { openData } from '../../mae/data/open.ts';
import { cifarRecords, gzip, idx, noise, png, tar } from '../support/datafiles.ts';
import { labelsOf, Scratch } from '../support/scratch.ts';
import { refusal } from '../support/thrown.ts';

const scratch = new Scratch();
test.before.each(scratch.make);
test.after.each(scratch.remove);
const put = scratch.put.bind(scratch);
const rng = random(Date.now() % 2 ** 31);

test('CIFAR-10 and CIFAR-100: the archive as distributed gives what its unpacked files give', async () => {
  const ten = [1, 2, 3, 4, 5].map((i) => [`data_batch_${i}.bin`, cifarRecords(rng, 4, [10])] as const);
  const tenTest = ['test_batch.bin', cifarRecords(rng, 3, [10])] as const;
  const hundred = [
    ['train.bin', cifarRecords(rng, 9, [20, 100])],
    ['test.bin', cifarRecords(rng, 2, [20, 100])],
  ] as const;
  for (const [folder, files] of [
    ['cifar-10-batches-bin', [...ten, tenTest]],
    ['cifar-100-binary', hundred],
  ] as const) {
    // A hostile name is only looked at: nothing is written anywhere.
    const entries = [...files.map(([name, bytes]) => [`${folder}/${name}`, bytes] as const)];
    const packed = put(`${folder}.tgz`, gzip(tar([...entries, [`../../evil-${folder}`, Buffer.from('x')]])));
    for (const [name, bytes] of files) put(`${folder}/${name}`, bytes);
    const [archive, unpacked] = [
      await openData(packed, undefined, 2),
      await openData(join(scratch.root, folder), undefined, 2),
    ];
    for (const split of ['train', 'heldout', 'test'] as const) {
      assert.is(archive[split]!.length, unpacked[split]!.length);
      for (let i = 0; i < archive[split]!.length; i++)
        assert.equal(await archive[split]!.read(i), await unpacked[split]!.read(i));
    }
  }
  assert.equal(readdirSync(scratch.root).sort(), [
    'cifar-10-batches-bin',
    'cifar-10-batches-bin.tgz',
    'cifar-100-binary',
    'cifar-100-binary.tgz',
  ]);
  assert.not.ok(existsSync(join(scratch.root, '../../evil-cifar-100-binary')));
  const fine = await openData(join(scratch.root, 'cifar-100-binary'), undefined, 0);
  const coarse = await openData(`${join(scratch.root, 'cifar-100-binary')}#coarse`, undefined, 0);
  assert.equal([fine.train.classes?.length, coarse.train.classes?.length], [100, 20]);
  assert.equal(
    [fine.train.classes?.[0], fine.train.classes?.[99], coarse.train.classes?.[19]],
    ['apple', 'worm', 'vehicles_2'],
  );
  const record = (i: number) => hundred[0][1].subarray(i * 3074, (i + 1) * 3074);
  assert.equal(
    await labelsOf(fine.train),
    Array.from({ length: 9 }, (_, i) => record(i)[1]),
  );
  assert.equal(
    await labelsOf(coarse.train),
    Array.from({ length: 9 }, (_, i) => record(i)[0]),
  );
  const { data } = await fine.train.read(5);
  for (let i = 0; i < 3072; i++) assert.is(data[i], record(5)[2 + (i % 3) * 1024 + Math.floor(i / 3)]);
});

test("CIFAR's version for Python is named, and so is a cut archive", async () => {
  for (const name of ['data_batch_1', 'batches.meta']) put(`ten/cifar-10-batches-py/${name}`, 'pickle');
  assert.match(
    await refusal(() => openData(join(scratch.root, 'ten'))),
    /for Python .* take the binary one, cifar-10-binary\.tar\.gz/,
  );
  const pickled = put('cifar-100-python.tar.gz', gzip(tar([['cifar-100-python/train', noise(rng, 9)]])));
  assert.match(await refusal(() => openData(pickled)), /take the binary one, cifar-100-binary\.tar\.gz/);
  const whole = gzip(tar([['cifar-100-binary/train.bin', cifarRecords(rng, 9, [20, 100])]]));
  const cut = put('cut.tar.gz', whole.subarray(0, whole.length >> 1));
  assert.match(await refusal(() => openData(cut)), /cut\.tar\.gz is damaged: its gzip data cannot be unpacked/);
  const half = put('half.tar.gz', whole);
  assert.match(await refusal(() => openData(half)), /half\.tar\.gz has no test\.bin/);
});

/** MNIST's four files. */
function putMnist(prefix: string, packed: boolean, counts = [10, 4], labels?: Uint8Array) {
  const made = counts.map((n) => ({
    pixels: noise(rng, n * 6),
    labels: labels ?? Buffer.from(Array.from({ length: n }, () => rng.below(10))),
  }));
  for (const [i, split] of ['train', 't10k'].entries()) {
    const [images, classes] = [
      idx([counts[i], 2, 3], made[i].pixels),
      idx([counts[i]], made[i].labels.subarray(0, counts[i])),
    ];
    put(`${prefix}${split}-images-idx3-ubyte${packed ? '.gz' : ''}`, packed ? gzip(images) : images);
    put(`${prefix}${split}-labels-idx1-ubyte${packed ? '.gz' : ''}`, packed ? gzip(classes) : classes);
  }
  return made;
}

for (const packed of [false, true]) {
  test(`MNIST, ${packed ? 'packed' : 'plain'}: one channel, labels, the last training images held out`, async () => {
    const [train, tests] = putMnist('m/', packed);
    const data = await openData(join(scratch.root, 'm'));
    assert.equal([data.train.length, data.heldout?.length, data.test?.length, data.train.channels], [8, 2, 4, 1]);
    const sample = await data.heldout!.read(1);
    assert.equal([sample.height, sample.width, sample.label], [2, 3, train.labels[9]]);
    assert.equal(Buffer.from(sample.data), train.pixels.subarray(54, 60));
    assert.equal(Buffer.from((await data.test!.read(3)).data), tests.pixels.subarray(18, 24));
    const mean = train.pixels.reduce((sum, v) => sum + v, 0) / train.pixels.length / 255;
    assert.ok(Math.abs(data.train.mean[0] - mean) < 1e-9);
    const one = join(scratch.root, 'm', `train-images-idx3-ubyte${packed ? '.gz' : ''}`);
    assert.equal(await (await openData(one)).train.read(2), await data.train.read(2));
  });
}

test('EMNIST: one of several sets by its name, upright, classes by the mapping', async () => {
  const [train] = putMnist('e/emnist-letters-', true, [5, 5], Uint8Array.of(1, 2, 3, 2, 1));
  putMnist('e/emnist-digits-', true);
  put('e/emnist-letters-mapping.txt', '1 65 97\n2 66 98\n3 67 99\n');
  assert.match(
    await refusal(() => openData(join(scratch.root, 'e'))),
    /holds 2 sets: give one of .*emnist-digits-, .*emnist-letters-/,
  );
  const { train: set } = await openData(join(scratch.root, 'e/emnist-letters'), undefined, 0);
  assert.equal(set.classes, ['Aa', 'Bb', 'Cc']);
  assert.equal(await labelsOf(set), [0, 1, 2, 1, 0]);
  const sample = await set.read(1);
  assert.equal([sample.height, sample.width], [3, 2]);
  const stored = train.pixels.subarray(6, 12);
  assert.equal(
    [...sample.data],
    [0, 3, 1, 4, 2, 5].map((i) => stored[i]),
  );
});

test('idx files that lie, are cut, or do not belong together are named with their numbers', async () => {
  putMnist('m/', false);
  const at = (name: string, bytes: Uint8Array) => {
    putMnist('m/', false);
    put(`m/${name}`, bytes);
    return refusal(() => openData(join(scratch.root, 'm')));
  };
  const images = 'train-images-idx3-ubyte';
  assert.match(
    await at(images, idx([4_000_000_000, 4_000_000_000, 3], noise(rng, 60))),
    /says .* = 4\d+ bytes, it has 60/,
  );
  assert.match(await at(images, idx([10, 2, 3], noise(rng, 61))), /goes on after its 10 x 2 x 3 = 60 bytes/);
  assert.match(await at(images, idx([10, 2], noise(rng, 20))), /begins with 00000802, expected 00000803/);
  assert.match(await at(images, Buffer.alloc(0)), /train-images-idx3-ubyte has 0 bytes/);
  assert.match(await at('train-labels-idx1-ubyte', idx([9], noise(rng, 9))), /has 9 labels, .* 10 images/);
});

test('files of other kinds are named, and known sets that cannot be fetched', async () => {
  assert.match(
    await refusal(() => openData(put('a.bin', noise(rng, 700).fill(7, 0, 8)))),
    /a\.bin of 700 bytes is of no kind that is known/,
  );
  assert.match(
    await refusal(() => openData(put('b.npz', Buffer.from('PK\x03\x04zip')))),
    /b\.npz is a zip or \.npz file: unpack it/,
  );
  assert.match(await refusal(() => openData(put('empty', ''))), /empty is empty/);
  assert.match(await refusal(async () => openData(put('c.png', await png(1)))), /one image: give the folder/);
  assert.match(
    await refusal(() => openData('imagenet')),
    /imagenet cannot be fetched by name: it is at image-net\.org/,
  );
  putMnist('m/', false);
  assert.match(
    await refusal(() => openData(`${join(scratch.root, 'm')}#coarse`)),
    /has no choice of labels: leave #coarse out/,
  );
});

test.run();
