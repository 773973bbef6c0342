// Training in a page: in a headless Chromium it learns, pauses, takes other settings, outlives its device, and its checkpoints go on in
// Node and back as if nothing had happened.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { type Checkpoint, loadCheckpoint } from '../../mae/train/checkpoint.ts';
import type * as Training from '../browser/training.ts';
import type { Told } from '../browser/training.ts';
import { type BrowserPage, chromium, openPage } from '../support/chromium.ts';
import { tinyRun } from '../support/tiny-run.ts';

const inBrowser = chromium ? test : test.skip;
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const IMAGES = 40;
const settings = {
  ...{ model: 'mae_vit_nano_patch4_32', side: 32, batch_size: 8, norm_pix_loss: false },
  ...{ seed: seed % 1000, mask_ratio: 0.75, lr: 1e-3 },
};

const folder = mkdtempSync(join(tmpdir(), 'tesserae-page-'));
const images: Record<string, Uint8Array> = {};
let page: BrowserPage<typeof Training>;

/** Smooth colours: something to learn. */
async function picture(salt: number): Promise<Uint8Array> {
  const rng = random(seed, salt);
  const [width, height] = [32 + rng.below(9), 32 + rng.below(9)];
  const [a, b, c] = [rng.uniform(), rng.uniform(), 40 + rng.below(150)];
  const data = Uint8Array.from({ length: 3 * width * height }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    return Math.round(c + 50 * Math.sin(a * x * 0.4 + (i % 3)) + 50 * Math.cos(b * y * 0.4));
  });
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

test.before(async () => {
  if (!chromium) return;
  for (let i = 0; i < IMAGES; i++) images[`/${i % 2 ? 'a' : 'b'}/${i}.png`] = await picture(i);
  for (const [path, bytes] of Object.entries(images)) {
    mkdirSync(join(folder, 'set', path, '..'), { recursive: true });
    writeFileSync(join(folder, 'set', path), bytes);
  }
  const { webFiles } = await import(new URL('../../tools/build-web.mjs', import.meta.url).href);
  const worker = (await webFiles()).get('train.js') as Uint8Array;
  page = await openPage<typeof Training>('test/browser/training.ts', { files: { ...images, '/train.js': worker } });
});
test.after(async () => {
  await page?.close();
  rmSync(folder, { recursive: true });
});

const begin = (checkpoint: string | null = null) => page.call('start', settings, Object.keys(images), checkpoint);

/** A checkpoint's file as Node keeps it. */
async function kept(name: string, base64: string): Promise<{ path: string; checkpoint: Checkpoint }> {
  const path = join(folder, name);
  writeFileSync(path, Buffer.from(base64, 'base64'));
  return { path, checkpoint: await loadCheckpoint(path, { training: true }) };
}

/** `tesserae pretrain` on the same images. */
const onNode = (resume: string, output: string, max_steps: number) =>
  tinyRun({ data_path: join(folder, 'set'), output_dir: join(folder, output), resume, max_steps, seed: seed % 1000 });

/** The state that the next step starts from, bit for bit. */
function sameState(a: Checkpoint, b: Checkpoint): void {
  for (const [name, values] of a.weights) assert.equal(values, b.weights.get(name), name);
  for (const slot of ['m', 'v'])
    for (const [name, values] of a.optimizer?.slots[slot] ?? [])
      assert.equal(values, b.optimizer?.slots[slot].get(name), `${slot} of ${name}`);
  assert.is(a.optimizer?.step, b.optimizer?.step);
  const of = ({ training }: Checkpoint) =>
    training && { epoch: training.epoch, step: training.step, images: training.images };
  assert.equal(of(a), of(b));
}

function alike(here: Told['losses'], there: Told['losses']): void {
  assert.ok(here.length > 0);
  assert.equal(
    here.map(([step]) => step),
    there.map(([step]) => step),
  );
  for (const [i, [step, loss]] of here.entries())
    assert.ok(Math.abs(loss - there[i][1]) <= 1e-4 * loss, `step ${step}: ${loss} and ${there[i][1]}, SEED=${seed}`);
}

inBrowser(`a page learns, pauses, changes and outlives its device (SEED=${seed})`, async () => {
  await begin((await onNode('', 'tiny', 1)).bytes.toString('base64'));
  const first = await page.call('reached', 31);
  assert.is(first.why, '');
  assert.equal(first.began, { done: 1, images: 32, heldout: 8 });
  const mean = (list: Told['losses']) => list.reduce((sum, [, loss]) => sum + loss, 0) / list.length;
  const [early, late] = [mean(first.losses.slice(0, 3)), mean(first.losses.slice(25, 30))];
  assert.ok(late < 0.95 * early, `from ${early} to ${late}, SEED=${seed}`);
  assert.ok(first.heldout.at(-1)![1] < 0.9 * first.heldout[0][1], `${first.heldout}, SEED=${seed}`);
  assert.ok(first.kernels.includes('gemm'), `${first.kernels}`);
  assert.ok(first.bytes > 1e5 && first.pace > 0);

  await page.call('order', { kind: 'pause' });
  const paused = await page.call('entered', 'paused');
  const later = await page.call('later', 600);
  assert.is(later.losses.length, paused.losses.length, 'it went on');

  await page.call('order', { kind: 'change', mask_ratio: 0.5, lr: 2e-3 });
  await page.call('order', { kind: 'resume' });
  const changed = await page.call('shown', later.shots.length + 1);
  assert.ok(changed.hidden < first.hidden, `${changed.hidden} of the pixels are hidden, before ${first.hidden}`);
  await page.call('order', { kind: 'pause' });
  await page.call('entered', 'paused');
  const { checkpoint } = await kept('changed.safetensors', await page.call('checkpoint'));
  assert.is(checkpoint.maskRatio, 0.5);
  assert.is(checkpoint.training?.recipe.mask_ratio, 0.5);
  assert.is(checkpoint.training?.recipe.lr, 2e-3);

  await page.call('order', { kind: 'lose' });
  await page.call('order', { kind: 'resume' });
  const before = changed.losses.at(-1)![0];
  const went = await page.call('reached', before + 20);
  assert.is(went.why, '');
  const recovery = went.notes.find((line) => /going on from step \d+/.test(line));
  assert.ok(recovery, went.notes.join('\n'));
  const steps = went.losses.map(([step]) => step);
  assert.equal(
    steps,
    Array.from(steps, (_, i) => i + 2),
    'a step is missing or came twice, though nothing was lost',
  );
});

inBrowser(
  `checkpoints go from a page to Node and from Node to a page, with the same losses (SEED=${seed})`,
  async () => {
    const tiny = await onNode('', 'beginning', 2);
    await begin(tiny.bytes.toString('base64'));
    await page.call('order', { kind: 'pause' });
    const paused = await page.call('entered', 'paused');
    assert.is(paused.began?.done, 2, paused.why);
    sameState((await kept('handed.safetensors', await page.call('checkpoint'))).checkpoint, tiny.checkpoint);
    await page.call('order', { kind: 'resume' });
    const there = await page.call('reached', 12);
    alike((await onNode(tiny.path, 'onward', 12)).losses, upTo(12, there.losses));

    await page.call('order', { kind: 'pause' });
    const stopped = await page.call('entered', 'paused');
    const { path, checkpoint } = await kept('back.safetensors', await page.call('checkpoint'));
    const at = placeOf(checkpoint);
    // A device that is lost meanwhile takes the run back to its last copy, behind what was told.
    if (!stopped.rewound.length) assert.is(at, stopped.losses.at(-1)![0], `SEED=${seed} ${stopped.notes.join(' ')}`);
    const untouched = await onNode(path, 'untouched', at);
    sameState(untouched.checkpoint, checkpoint);
    await page.call('order', { kind: 'resume' });
    const further = await page.call('reached', at + 6);
    alike((await onNode(path, 'further', at + 6)).losses, upTo(at + 6, further.losses.slice(stopped.losses.length)));
  },
);

/** Optimizer steps since the beginning, of epochs of 4. */
const placeOf = ({ training }: Checkpoint): number => 4 * (training?.epoch ?? 0) + (training?.step ?? 0);

const upTo = (most: number, losses: Told['losses']) => losses.filter(([step]) => step <= most);

inBrowser(`a run that a page begins is one that Node goes on with (SEED=${seed})`, async () => {
  await begin();
  await page.call('order', { kind: 'pause' });
  const paused = await page.call('entered', 'paused');
  assert.equal(paused.began, { done: 0, images: 32, heldout: 8 }, paused.why);
  const { path } = await kept('page.safetensors', await page.call('checkpoint'));
  const { command } = await page.call('later', 0);
  assert.match(command, /^npx tesserae pretrain --resume tesserae-step-0.safetensors .*--data_path/);
  await page.call('order', { kind: 'resume' });
  const { losses } = await page.call('reached', 3);
  alike((await onNode(path, 'from-page', 3)).losses, upTo(3, losses));
});

inBrowser('what cannot go on is said, and names the file', async () => {
  await begin(Buffer.from('nothing of the kind').toString('base64'));
  const { state, why } = await page.call('entered', 'failed');
  assert.is(state, 'failed');
  assert.match(why, /safetensors|weights|given bytes/);
});

test.run();
