// Training in a page, as far as it needs none: options that Node takes back, images in Node's order, numbers on their way to the tab.
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeImage } from '../../mae/data/image.ts';
import { imageFolder } from '../../mae/data/imagefolder.ts';
import { parsePretrainOptions } from '../../mae/train/options.ts';
import { configure, parameterSpecs } from '../../mae/model/config.ts';
import { millionsText, parameterCount } from '../../mae/model/parameter-count.ts';
import { OutOfMemoryError } from '../../engine/errors.ts';
import { recipeOf } from '../../mae/train/recipe.ts';
import { byBatchSize, byMemory, refusal } from '../../mae/train/room.ts';
import { fromSheet, keptBack } from '../../mae/web/images/sheet.ts';
import type { News } from '../../mae/web/train/messages.ts';
import { labelsOf, ordered } from '../../mae/web/train/folder.ts';
import { PageJournal } from '../../mae/web/train/journal.ts';
import { commandFor, fewerPictures, isShipped, optionsFrom, optionsOf } from '../../mae/web/train/recipe.ts';

const settings = {
  ...{ model: 'mae_vit_nano_patch4_32', side: 32, batch_size: 64, norm_pix_loss: true },
  ...{ seed: 0, mask_ratio: 0.6, lr: 2e-3 },
};
const engine = { precision: 'f32' as const };
/** What is not said is null, or not there. */
const said = (options: object) =>
  Object.fromEntries(Object.entries(recipeOf({ ...options }, engine)).filter(([, value]) => value !== null));

test("a page's recipe, read by Node, is what Node's own flags would make", () => {
  const here = optionsOf(settings, undefined);
  const recipe = recipeOf(here, engine);
  const node = parsePretrainOptions({}, undefined, undefined, recipe);
  assert.equal(said(node), said(here));
  assert.is(node.data_path, 'cifar10');
  assert.ok(isShipped(node));
  const own = recipeOf(optionsOf({ ...settings, side: 64 }, 50), engine);
  assert.is(own.data_path, null);
  const there = parsePretrainOptions({ data_path: 'folder' }, undefined, undefined, own);
  assert.equal(said(there), { ...said(own), data_path: 'folder' });
  assert.equal([there.patch_size, there.input_size, there.heldout], [8, [64, 64], 10]);
});

test('the page says how large its models are as commands do', () => {
  const page = readFileSync('mae/web/index.html', 'utf8');
  const offered = [...page.matchAll(/<option value="(mae_vit_\w+)">\w+, ([\d.]+ M)/g)];
  assert.is(offered.length, 2);
  for (const [, model, size] of offered)
    assert.is(size, millionsText(parameterCount(parameterSpecs(configure(model)))));
});

test('a device without room is told of with what there is to press here, and to say on a command line', () => {
  const error = new OutOfMemoryError('transient', 2 ** 20, 50 * 2 ** 20);
  const room = { peak: (images: number) => images * 2 ** 20, micro_batch: 64 };
  const here = refusal(error, { ...room, smaller: fewerPictures });
  assert.match(here, /those of 50 would fit: choose 50 or fewer under "Pictures a step"$/);
  assert.match(
    readFileSync('mae/web/index.html', 'utf8'),
    /<span>Pictures a step<\/span>\s*<select name="batch_size"><option>16</,
  );
  const tight = { ...room, peak: (images: number) => images * 2 ** 22, smaller: fewerPictures };
  assert.match(refusal(error, tight), /those of 12 would fit: the page offers no fewer/);
  assert.not.match(here + refusal(error, tight), /--/);
  assert.match(refusal(error, { ...room, smaller: byMemory }), /would fit: give --memory 51200KiB,/);
  assert.match(refusal(error, { ...room, smaller: byBatchSize }), /would fit: give --batch_size 50, and --accum_iter/);
});

test("Node's recipe, read by the page, keeps every number of the run, and runs that have ended go on", () => {
  const flags = {
    data_path: 'cifar10',
    model: 'mae_vit_nano_patch4_32',
    epochs: '3',
    blr: '2e-3',
    opt: 'sgd',
    mask: 'block',
  };
  const node = parsePretrainOptions({ ...flags, train_images: 2000, heldout: 100, clip_grad: 1 });
  const recipe = recipeOf(node, engine);
  const training = { recipe, epoch: 2 } as unknown as Parameters<typeof optionsFrom>[0]['training'];
  const { epochs, ...here } = optionsFrom({ training });
  assert.is(epochs, 3);
  assert.equal(said({ ...here, epochs }), said(node));
  assert.ok(isShipped(here as typeof node));
  assert.not(isShipped({ ...node, train_images: 40_000 }));
  assert.is(optionsFrom({ training: { ...training!, epoch: 3 } }).epochs, 6);
  assert.throws(() => optionsFrom({ training: null }), /no training state/);
  assert.match(commandFor('x.safetensors', node), /^npx tesserae pretrain --resume x\.safetensors --output_dir \S+$/);
});

test("the images that come with the page are CIFAR-10's, to the bit", async () => {
  const { train, heldout } = fromSheet(await decodeImage(readFileSync('mae/web/images/cifar10.webp'), 'sheet', -1));
  const hash = createHash('sha256');
  for (const set of [train, heldout]) for (let i = 0; i < set.length; i++) hash.update((await set.read(i)).data);
  // Of the first 3,072 and the last 256 training images in its binary files.
  assert.is(hash.digest('hex'), 'f55cb9208186f593fb6f3650ead983cc249230f243fa3f47a27dca0f021efc20');
  const { data } = await keptBack({ train, heldout }, 56).heldout!.read(0);
  assert.equal(data, (await heldout.read(200)).data);
});

test('a folder in a page is read in the order of Node', async () => {
  const root = mkdtempSync(join(tmpdir(), 'tesserae-folder-'));
  try {
    const sets = [
      ['b.png', 'a.png', 'B.png', 'notes.txt', 'é.jpg'],
      [
        'dog/2.png',
        'dog/10.png',
        'cat/z.webp',
        'cat/deep/a.jpg',
        'loose.png',
        'empty/none.txt',
        'cat/._z.webp',
        '.c/0.png',
      ],
      ['train/x/1.png', 'train/y/1.jpeg', 'val/x/3.png', 'val/y/0.png', 'other/1.png'],
    ];
    for (const [i, names] of sets.entries()) {
      const base = join(root, `set${i}`);
      for (const name of names) {
        mkdirSync(join(base, name, '..'), { recursive: true });
        writeFileSync(join(base, name), '');
      }
      const blob = new Blob([]);
      const shuffled = [...names].reverse().map((name) => [`set${i}/${name}`, blob] as const);
      const { train, val } = ordered(shuffled);
      const node = await imageFolder(base);
      const here = train.map(([path]) => path.replace(`set${i}/`, ''));
      assert.equal(
        here,
        Array.from({ length: node.length }, (_, at) => node.id?.(at)),
      );
      if (i === 2) assert.is(val.length, 2);
      // By classes a run chooses what it keeps back.
      assert.equal(
        labelsOf(train, 'train'),
        Array.from({ length: node.length }, (_, at) => node.label?.(at)),
      );
    }
  } finally {
    rmSync(root, { recursive: true });
  }
});

test('numbers reach the tab in order, a few times a second, and go back with the run', async () => {
  const news: News[] = [];
  const journal = new PageJournal({ tell: (one) => news.push(one), bytes: () => 7, batch: 4 });
  await journal.open({}, 10);
  for (let step = 11; step <= 40; step++) await journal.metric({ step, epoch: 0, loss: 1 / step, lr: 0.1 });
  await journal.metric({ step: 40, epoch: 0, heldout_loss: 0.5 });
  const mark = await journal.mark();
  await journal.metric({ step: 41, epoch: 0, loss: 0.1, lr: 0.1 });
  await journal.rewind(mark);
  await journal.metric({ step: 41, epoch: 0, loss: 0.2, lr: 0.1 });
  journal.flush();
  const told = news.flatMap((one) =>
    one.kind === 'steps' ? one.steps.map(({ step, loss }) => `${step} ${loss}`) : one.kind,
  );
  const before = Array.from({ length: 30 }, (_, i) => `${i + 11} ${1 / (i + 11)}`);
  assert.equal(told.slice(0, 31), [...before, 'heldout']);
  assert.equal(told.slice(-2), ['rewound', '41 0.2']);
  assert.ok(news.length < 20, `${news.length} messages for 31 steps`);
  assert.is(mark, 40);
});

test.run();
