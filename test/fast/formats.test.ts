// Sets of files in the forms that people keep images in: WebDataset, parquet, .npy. Each gives the pixels and labels that were put in, and names what is wrong.
import { readdirSync, truncateSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { expandBraces, splitOf } from '../../mae/data/formats/splits.ts';
import { openData } from '../../mae/data/open.ts';
import { gzip, noise, npy, parquet, png, tar } from '../support/datafiles.ts';
import { labelsOf, Scratch } from '../support/scratch.ts';
import { refusal } from '../support/thrown.ts';

const scratch = new Scratch();
test.before.each(scratch.make);
test.after.each(scratch.remove);
const put = scratch.put.bind(scratch);
const rng = random(Date.now() % 2 ** 31);

test('WebDataset: samples by key over shards, labels from .cls and .json, splits by name', async () => {
  const pictures = await Promise.all([10, 20, 30, 40].map((value) => png(value)));
  const sample = (key: string, image: Buffer, label: number) =>
    [
      [
        `${key}.${label % 2 ? 'cls' : 'json'}`,
        Buffer.from(label % 2 ? `${label}\n` : JSON.stringify({ label, text: 'x' })),
      ],
      [`${key}.txt`, Buffer.from('caption')],
      [`${key}.png`, image],
      [`${key}.seg.png`, pictures[0]],
    ] as const;
  const deep = 'a-very-long-folder-name/'.repeat(6);
  put('w/set-train-000.tar', tar([...sample('a/0', pictures[1], 3), ...sample('b/0', pictures[2], 2)]));
  put('w/set-train-001.tar', tar(sample(`${deep}1`, pictures[3], 1), 'L'));
  put('w/set-val-000.tar', tar(sample(`${deep}1`, pictures[0], 0), 'x'));
  const { train, heldout, test: none } = await openData(join(scratch.root, 'w'));
  assert.equal([train.length, heldout?.length, none, train.classes], [3, 1, null, ['0', '1', '2', '3']]);
  assert.equal(await labelsOf(train), [3, 2, 1]);
  assert.equal(
    [(await train.read(0)).data[0], (await train.read(2)).data[0], (await heldout!.read(0)).data[0]],
    [20, 40, 10],
  );
  const braced = await openData(join(scratch.root, 'w/set-train-{000..001}.tar'));
  assert.equal(await labelsOf(braced.train), [3, 2, 1]);
  // The index is kept; a shard that was changed gets another.
  assert.is(readdirSync(join(scratch.root, 'cache/shards')).length, 3);
  const changed = put('w/set-train-001.tar', tar(sample('z', pictures[3], 5)));
  utimesSync(changed, 1, 1);
  assert.equal(await labelsOf((await openData(join(scratch.root, 'w'))).train), [3, 2, 5]);
  const missing = join(scratch.root, 'w/set-train-{000..002}.tar');
  assert.match(
    await refusal(() => openData(missing)),
    /set-train-002\.tar: No such file or directory: check that all shards are there/,
  );
  truncateSync(changed, 700);
  assert.match(
    await refusal(() => openData(join(scratch.root, 'w'))),
    /set-train-001\.tar ends at byte 700, within the entry/,
  );
});

test('WebDataset: named classes; damage inside a shard is named with its key', async () => {
  const one = (key: string, label: unknown, image: Uint8Array) =>
    [
      [`${key}.json`, Buffer.from(JSON.stringify({ label }))],
      [`${key}.jpg`, image],
    ] as const;
  const picture = await png(7);
  const path = put('s.tar', tar([...one('x', 'dog', picture), ...one('y', 'cat', noise(rng, 90))]));
  const { train } = await openData(path);
  assert.equal(train.classes, ['cat', 'dog']);
  assert.is((await train.read(0)).label, 1);
  assert.match(await refusal(() => train.read(1)), /s\.tar: y cannot be read/);
  const mixed = put('mixed.tar', tar([...one('x', 'dog', picture), ...one('y', 3, picture)]));
  assert.match(await refusal(() => openData(mixed)), /some classes are numbers, others are names/);
  const some = put('some.tar', tar([...one('x', 3, picture), ['y.jpg', picture]]));
  assert.match(await refusal(() => openData(some)), /sample y has no class, x has/);
  const absurd = put('absurd.tar', tar(one('x', 1e15, picture)));
  assert.match(await refusal(() => openData(absurd)), /has the class 1000000000000000/);
  const packed = put('packed.tar.gz', gzip(tar(one('x', 1, picture))));
  assert.match(await refusal(() => openData(packed)), /unpack it \(gunzip\)/);
});

test('WebDataset: of a packed folder of classes it is told where classes come from', async () => {
  const picture = await png(7);
  const remarksOf = async (files: readonly string[], ...more: (readonly [string, Uint8Array])[]) =>
    (await openData(put('p.tar', tar([...files.map((name) => [name, picture] as const), ...more])))).train.remarks;
  const [said, ...others] = (await remarksOf(['photos/cat/0.jpg', 'photos/cat/1.jpg', 'photos/dog/0.jpg'])) ?? [];
  assert.match(said, /p\.tar: 2 folders within are no classes: these come from \.cls or \.json .* unpack it/);
  assert.equal(others, []);
  assert.equal(await remarksOf(['photos/0.jpg', 'photos/1.jpg', 'photos/2.jpg', 'photos/3.jpg']), []);
  assert.equal(await remarksOf(['a/0.jpg'], ['a/0.cls', Buffer.from('1')]), []);
});

test('parquet: images and labels of all row groups and files, class names from the metadata', async () => {
  const values = Array.from({ length: 8 }, () => rng.below(256));
  const pictures = await Promise.all(values.map((value) => png(value)));
  const labels = values.map(() => rng.below(3));
  const names = ['a', 'b', 'c'];
  put(
    'h/data/train-00000-of-00002.parquet',
    parquet(pictures.slice(0, 5), labels.slice(0, 5), { names, rowGroupSize: 2 }),
  );
  put(
    'h/data/train-00001-of-00002.parquet',
    parquet(pictures.slice(5, 7), labels.slice(5, 7), { names, codec: 'UNCOMPRESSED' }),
  );
  put('h/data/test-00000-of-00001.parquet', parquet(pictures.slice(7), labels.slice(7), { names }));
  const { train, heldout, test: tests } = await openData(join(scratch.root, 'h'));
  assert.equal([train.length, heldout, tests?.length, train.classes], [7, null, 1, names]);
  for (const i of [6, 0, 3, 5, 1, 4, 2]) {
    const sample = await train.read(i);
    assert.equal([sample.data[0], sample.label], [values[i], labels[i]]);
  }
  assert.is((await tests!.read(0)).data[0], values[7]);
  const bare = await openData(put('bare.parquet', parquet(pictures, null, { column: 'img' })));
  assert.equal([bare.train.length, bare.train.classes], [8, null]);
  assert.is((await bare.train.read(7)).label, -1);
  assert.match(
    await refusal(() => openData(`${put('x.parquet', parquet(pictures, labels))}#other`)),
    /has no column other/,
  );
  const cut = put('cut.parquet', parquet(pictures, labels).subarray(0, 900));
  assert.match(await refusal(() => openData(cut)), /cut\.parquet cannot be read \(.*\): it is cut or damaged/);
});

test('npy: layouts, types and byte orders; many channels; ranges become bytes within 1/510', async () => {
  const [n, h, w, c] = [6, 13, 14, 11];
  const values = Float64Array.from({ length: n * h * w * c }, () => rng.uniform() * 3000 - 500);
  const bytesOf = (make: (view: DataView, i: number, v: number) => void, width: number) => {
    const view = new DataView(new ArrayBuffer(width * values.length));
    for (const [i, v] of values.entries()) make(view, i, v);
    return new Uint8Array(view.buffer);
  };
  const labels = Uint8Array.from({ length: n }, () => rng.below(4));
  labels[0] = 3;
  put(
    'many/images.npy',
    npy(
      '<f8',
      [n, h, w, c],
      bytesOf((view, i, v) => view.setFloat64(8 * i, v, true), 8),
      { version: 2 },
    ),
  );
  put('many/labels.npy', npy('|u1', [n], labels));
  const { train, heldout, test: none } = await openData(join(scratch.root, 'many'));
  assert.equal([train.length, heldout, none, train.channels, train.classes?.length], [n, null, null, c, 4]);
  assert.equal(await labelsOf(train), [...labels]);
  const ranges = Array.from({ length: c }, (_, k) => values.filter((__, i) => i % c === k)).map((v) => [
    Math.min(...v),
    Math.max(...v),
  ]);
  const sums = new Float64Array(c);
  for (let i = 0; i < n; i++) {
    const { data } = await train.read(i);
    data.forEach((byte, e) => {
      const [low, high] = ranges[e % c];
      const back = low + (byte / 255) * (high - low);
      assert.ok(Math.abs(back - values[i * h * w * c + e]) <= (high - low) / 510 + 1e-9);
      sums[e % c] += byte / 255;
    });
  }
  for (const [k, mean] of train.mean.entries()) assert.ok(Math.abs(mean - sums[k] / (n * h * w)) < 1e-9);

  // Channels first, in the other byte order, are the same images.
  const turned = new DataView(new ArrayBuffer(8 * values.length));
  for (const [i, v] of values.entries()) {
    const [k, pixel, image] = [i % c, Math.floor(i / c) % (h * w), Math.floor(i / (c * h * w))];
    turned.setFloat64(8 * ((image * c + k) * h * w + pixel), v, false);
  }
  const first = (await openData(put('first.npy', npy('>f8', [n, c, h, w], new Uint8Array(turned.buffer))))).train;
  for (let i = 0; i < n; i++) assert.equal((await first.read(i)).data, (await train.read(i)).data);

  const pixels = noise(rng, 2 * 3 * 4 * 5);
  const chw = (await openData(put('chw.npy', npy('|u1', [2, 3, 4, 5], pixels)))).train;
  const sample = await chw.read(1);
  assert.equal([sample.height, sample.width, sample.channels], [4, 5, 3]);
  for (let e = 0; e < 60; e++) assert.is(sample.data[e], pixels[60 + (e % 3) * 20 + Math.floor(e / 3)]);
  const u16 = Buffer.alloc(2 * 2 * 2 * 2);
  for (const [i, v] of [0, 65535, 1000, 40000, 7, 8, 9, 32768].entries()) u16.writeUInt16BE(v, 2 * i);
  const grey = (await openData(put('grey.npy', npy('>u2', [2, 2, 2], u16, { version: 3 })))).train;
  assert.equal(
    [...(await grey.read(0)).data],
    [0, 255, Math.round((255 * 1000) / 65535), Math.round((255 * 40000) / 65535)],
  );
});

test('npy: splits by name share the training range; what cannot be read says what to save instead', async () => {
  const f4 = (values: number[]) => new Uint8Array(Float32Array.from(values).buffer);
  put('s/train.npy', npy('<f4', [2, 1, 2], f4([0, 10, 5, 2])));
  put('s/val_images.npy', npy('<f4', [1, 1, 2], f4([20, 5])));
  put('s/train_labels.npy', npy('<i8', [2], new Uint8Array(BigInt64Array.of(1n, 0n).buffer)));
  put('s/val_labels.npy', npy('<i8', [1], new Uint8Array(BigInt64Array.of(1n).buffer)));
  const { train, heldout } = await openData(join(scratch.root, 's'));
  assert.equal([...(await heldout!.read(0)).data], [255, 128], 'clipped, and in the range of train');
  assert.equal([await labelsOf(train), await labelsOf(heldout)], [[1, 0], [1]]);
  const says = (bytes: Uint8Array) => refusal(() => openData(put('bad/images.npy', bytes)));
  const fortran = "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2, 2), }";
  assert.match(
    await says(npy('<f4', [], f4([1, 2, 3, 4]), { header: fortran })),
    /Fortran order: save numpy\.ascontiguousarray/,
  );
  assert.match(await says(npy('<c8', [1, 1, 1], f4([1, 2]))), /type '<c8': save it as uint8/);
  assert.match(await says(npy('<f4', [1, 3, 3], f4([1]))), /shape \(1, 3, 3\) of f4 is 36 bytes, it has 4/);
  assert.match(await says(npy('<f4', [2 ** 40, 2 ** 40, 3], f4([1]))), /bytes, it has 4/);
  assert.match(await says(npy('|u1', [1, 3, 3, 3], noise(rng, 27))), /which axis is the channels/);
  assert.match(await says(npy('|u1', [4], noise(rng, 4))), /shape \(4\): images are/);
  const nan = await openData(put('nan.npy', npy('<f4', [2, 1, 2], f4([Number.NaN, 1, 0, 3]))));
  assert.equal([...(await nan.train.read(1)).data], [0, 255]);
  assert.match(await refusal(() => nan.train.read(0)), /nan\.npy: image 0 cannot be read \(NaN in channel 0\)/);
});

const written = (name: string): string => join(import.meta.dirname, '../oracle/fixtures/formats', name);

test("numpy's own files, in all versions, types and byte orders", async () => {
  const value = (index: number, i: number): number => ((index * 120 + i) * 7) % 256;
  const names = ['u8.npy', ...[1, 2, 3].flatMap((v) => ['le', 'be', 'u16'].map((kind) => `${kind}-v${v}.npy`))];
  for (const name of names) {
    const { train } = await openData(written(name));
    assert.equal([train.length, train.channels, train.classes], [3, 4, null], name);
    // Channels of the wider types are spread from their least and greatest value to 0 and 255.
    const channel = (c: number) => Array.from({ length: 90 }, (_, i) => value(0, 4 * i + c));
    const ranges = [0, 1, 2, 3].map((c) => [Math.min(...channel(c)), Math.max(...channel(c))]);
    for (let index = 0; index < 3; index++) {
      for (const [i, byte] of (await train.read(index)).data.entries()) {
        const [low, high] = name === 'u8.npy' ? [0, 255] : ranges[i % 4];
        assert.is(byte, Math.round((255 * (value(index, i) - low)) / (high - low)), name);
      }
    }
  }
  assert.match(await refusal(() => openData(written('fortran.npy'))), /Fortran order/);
  assert.match(await refusal(() => openData(written('struct.npy'))), /values of type \[\('a', '<f4'\)/);
});

test("archives of Python's tarfile in its three formats: long names, folders, links", async () => {
  for (const format of ['ustar', 'gnu', 'pax']) {
    const { train } = await openData(written(`${format}.tar`));
    assert.equal(await labelsOf(train), [0, 1, 2], format);
    assert.equal([(await train.read(2)).data[0], (await train.read(0)).width], [80, 3]);
  }
});

test('parquet files that would keep the library counting for ever: a run beyond the values, a header without a field', async () => {
  const read = async (name: string) => (await openData(written(name))).train.read(0);
  assert.match(
    await refusal(() => read('long-run.parquet')),
    /the page at byte \d+ has a run of \d{8,} values, 1 are left/,
  );
  assert.match(await refusal(() => read('short-header.parquet')), /column label: the page at byte 268 has no field 5/);
});

test('splits and braces', () => {
  const cases = {
    'data/train-00000.parquet': 'train',
    'default/validation/0000.parquet': 'val',
    'my_test.npy': 'test',
    'latest-0.tar': null,
  };
  for (const [path, split] of Object.entries(cases)) assert.is(splitOf(path), split, path);
  assert.equal(expandBraces('a-{08..11}.tar'), ['a-08.tar', 'a-09.tar', 'a-10.tar', 'a-11.tar']);
  assert.equal(expandBraces('a-{9..10}-{0..1}'), ['a-9-0', 'a-9-1', 'a-10-0', 'a-10-1']);
  assert.throws(() => expandBraces('a-{5..2}'), /must go up/);
});

test.run();
