// Pretraining over a folder with damaged files: others stand in for them, bit for bit the same with any number of workers and after a kill; too
// many end the run and leave its last checkpoint whole. Evaluations say what they left out.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../kernels/random/random.ts';
import { loadCheckpoint } from '../mae/train/checkpoint.ts';
import { whatIsLeft } from './support/kill-resume.ts';
import { cli } from './support/spawn-cli.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const rng = random(seed);
const home = mkdtempSync(join(tmpdir(), 'tesserae-damaged-'));
test.after(() => rmSync(home, { recursive: true, force: true }));

const IMAGES = 100;
/** Three kinds of damage in turn: nothing in it, the half of a file, no image. */
const WAYS = [() => Buffer.alloc(0), (b: Buffer) => b.subarray(0, b.length >> 1), () => Buffer.from('not an image')];

/** Two classes of small photographs, of which the given ones are damaged. @returns the paths of these */
async function folderOf(name: string, damaged: ReadonlySet<number>): Promise<string[]> {
  const paths: string[] = [];
  for (let i = 0; i < IMAGES; i++) {
    const folder = join(home, name, i % 2 ? 'dogs' : 'cats');
    mkdirSync(folder, { recursive: true });
    const [height, width] = [20 + rng.below(30), 20 + rng.below(30)];
    const pixels = Uint8Array.from({ length: height * width * 3 }, () => rng.below(256));
    const bytes = await sharp(pixels, { raw: { height, width, channels: 3 } })
      .jpeg()
      .toBuffer();
    const path = join(folder, `${i}.jpg`);
    writeFileSync(path, damaged.has(i) ? WAYS[i % 3](bytes) : bytes);
    if (damaged.has(i)) paths.push(path);
  }
  return paths;
}

const some = (count: number): Set<number> => {
  const chosen = new Set<number>();
  while (chosen.size < count) chosen.add(rng.below(IMAGES));
  return chosen;
};

const FLAGS =
  '--model mae_vit_nano_patch4_32 --depth 1 --decoder_depth 1 --batch_size 4 --epochs 2 --warmup_epochs 0.5 --save_steps 3 --save_freq 0';
const train = (data: string, output: string, ...more: string[]): string[] => [
  'pretrain',
  ...['--data_path', join(home, data), '--output_dir', join(home, output), '--resume', 'auto'],
  ...FLAGS.split(' '),
  ...more,
];
const listed = (output: string): string => readFileSync(join(home, output, 'damaged.txt'), 'utf8');
const steps = (output: string): number => {
  const file = join(home, output, 'metrics.jsonl');
  return existsSync(file) ? readFileSync(file, 'utf8').split('"loss"').length - 1 : 0;
};

test(`3 % of damaged files: trained to the end, listed once, the same bits by 1 and 4 workers and after a kill (SEED=${seed})`, async () => {
  const paths = await folderOf('few', some(3));
  const one = await cli(train('few', 'one', '--num_workers', '1'));
  assert.is(one.code, 0, one.err);
  const lines = listed('one').split('\n').slice(0, -1);
  assert.equal(lines.map((line) => line.split('\t')[0]).sort(), [...paths].sort());
  for (const path of paths) assert.is(one.err.split(`${path} is damaged (`).length, 2, one.err);
  const { training } = await loadCheckpoint(join(home, 'one/checkpoint.safetensors'), { training: true });
  const { seen = 0, replaced = 0 } = training?.damage ?? {};
  assert.is(seen, 2 * IMAGES);
  assert.ok(replaced >= 6, `${replaced} in two epochs`);

  const four = await cli(train('few', 'four', '--num_workers', '4'));
  assert.is(four.code, 0, four.err);
  assert.equal(whatIsLeft(join(home, 'four')), whatIsLeft(join(home, 'one')));
  assert.is(listed('four'), listed('one'));

  const at = 5 + rng.below(35);
  await cli(train('few', 'killed', '--num_workers', '3'), {}, (child) => {
    const timer = setInterval(() => {
      if (steps('killed') < at) return;
      clearInterval(timer);
      child.kill('SIGKILL');
    }, 5);
    child.on('close', () => clearInterval(timer));
  });
  const rest = await cli(train('few', 'killed', '--num_workers', '2'));
  assert.is(rest.code, 0, rest.err);
  assert.equal(whatIsLeft(join(home, 'killed')), whatIsLeft(join(home, 'one')));
  assert.is(listed('killed'), listed('one'));

  // The damaged ones are now among the training or the validation images of a probe.
  const knn = await cli([
    'knn',
    ...[join(home, 'one/checkpoint.safetensors'), '--data_path', join(home, 'few'), '--features', 'gap', '--no_cache'],
  ]);
  assert.is(knn.code, 0, knn.err);
  const left = [...knn.err.matchAll(/(\d+) of \d+ images are damaged and left out/g)].map(([, count]) => Number(count));
  assert.is(
    left.reduce((sum, count) => sum + count, 0),
    3,
    knn.err,
  );
});

test('10 % of damaged files end the run, by name; its last checkpoint is whole', async () => {
  const paths = await folderOf('many', some(10));
  // Who asks first is told all of them.
  const checked = await cli(['data', join(home, 'many'), '--check']);
  assert.is(checked.code, 1, checked.err);
  for (const path of paths) assert.ok(checked.out.includes(`${path}: `), path);
  assert.match(checked.out, new RegExp(`\\n10 of ${IMAGES} images are damaged `));
  const { code, err } = await cli(train('many', 'ended', '--save_steps', '1', '--epochs', '10'));
  assert.is(code, 1, err);
  const [, replaced, seen, names, where] =
    /data: (\d+) damaged within the first (\d+) images that were read, \d+ are borne \([^)]*\): (.+); all that were met are in (\S+): mend/.exec(
      err,
    ) ?? [];
  assert.ok(Number(replaced) > 5, err);
  assert.is(where, join(home, 'ended/damaged.txt'));
  assert.ok(Number(replaced) / Number(seen) > 0.05);
  assert.is(paths.filter((path) => names.includes(path)).length, 3, names);
  const { training } = await loadCheckpoint(join(home, 'ended/checkpoint.safetensors'), { training: true });
  assert.is(training?.damage?.seen, Number(seen) - 4, 'saved after the last whole step');
  for (const path of listed('ended').split('\n').slice(0, -1)) assert.ok(paths.includes(path.split('\t')[0]));
});

test('--val_fraction keeps images back, is told of, and a resume with another is refused', async () => {
  await folderOf('whole', new Set());
  const split = (val_seed: string) => train('whole', 'split', '--val_fraction', '0.2', '--val_seed', val_seed);
  const begun = await cli([...split('5'), '--max_steps', '2']);
  assert.is(begun.code, 0, begun.err);
  assert.match(begun.err, /held-out masked loss/);
  const { training } = await loadCheckpoint(join(home, 'split/checkpoint.safetensors'), { training: true });
  assert.equal([training?.images, training?.recipe.val_fraction, training?.recipe.val_seed], [80, 0.2, 5]);
  const other = await cli(split('6'));
  assert.is(other.code, 1, other.err);
  assert.match(other.err, /resume: --val_seed is 6, .* was trained with 5/);
});
test.run();
