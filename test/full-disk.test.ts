// A run whose disk fills up: it trains on, keeps the checkpoint that it has, ends with one line, and goes on when there is room; and a run
// that begins with its weights.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadCheckpoint } from '../mae/train/checkpoint.ts';
import { fakeCifar } from './support/kill-resume.ts';
import { cli } from './support/spawn-cli.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const home = mkdtempSync(join(tmpdir(), 'tesserae full dïsk '));
const output = join(home, 'run');
/** Of a tmpfs. */
const PAGE = 4096;
mkdirSync(output);
const data = join(home, 'data');
fakeCifar(data, seed);
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', output]).status === 0;
if (!mounted)
  console.log(
    'full-disk: this user may mount no small disk; test/fast/journal.test.ts makes saves fail by other means',
  );
test.after(() => {
  if (mounted) spawnSync('umount', [output]);
  rmSync(home, { recursive: true, force: true });
});
const grow = (size: string) => assert.is(spawnSync('mount', ['-o', `remount,size=${size}`, output]).status, 0);

const sizes = '--model mae_vit_nano_patch4_32 --embed_dim 24 --depth 1 --decoder_depth 1 --decoder_embed_dim 32'.split(
  ' ',
);
const steps = '--batch_size 32 --epochs 3 --warmup_epochs 1 --heldout 0 --save_freq 0'.split(' ');
const pretrain = (...flags: string[]) => cli(['pretrain', '--data_path', data, ...sizes, ...steps, ...flags]);
const latest = join(output, 'checkpoint.safetensors');

test('a full disk costs saves, not the run; what was saved is whole, and with room it goes on', async () => {
  const first = await pretrain('--output_dir', output, '--max_steps', '4');
  assert.is(first.code, 0, first.err);
  if (!mounted) return;
  const before = readFileSync(latest);
  const pages = readdirSync(output, { recursive: true, withFileTypes: true }).map(
    (entry) => Math.ceil(statSync(join(entry.parentPath, entry.name)).size / PAGE) + 1,
  );
  const used = PAGE * pages.reduce((a, b) => a + b);
  grow(`${Math.ceil((used + 0.5 * statSync(latest).size) / 1024)}k`);
  const { code, err, out } = await pretrain('--output_dir', output, '--resume', 'auto');
  assert.is(code, 1, err + out);
  const note = /save: .*checkpoint\.safetensors: No space left on device \(needs .* free\): .*/g;
  const said = err.match(note) ?? [];
  assert.match(said[0] ?? '', /nothing was changed; training goes on, the next save tries again/, err);
  assert.match(said.at(-1) ?? '', /nothing was changed$/, 'the last save is an error');
  assert.not.match(err, /^ {4}at /m);
  assert.ok(readFileSync(latest).equals(before), 'the checkpoint before is whole');
  assert.equal(
    readdirSync(output).filter((name) => name.startsWith('.')),
    [],
  );
  grow('32m');
  const again = await pretrain('--output_dir', output, '--resume', 'auto');
  assert.is(again.code, 0, again.err);
  assert.match(again.err, /resuming from .*: epoch 1, after 4 of its steps/);
  const metrics = readFileSync(join(output, 'metrics.jsonl'), 'utf8').trim().split('\n');
  const positions = metrics
    .map((line) => JSON.parse(line))
    .flatMap(({ step, loss }) => (loss === undefined ? [] : [step]));
  assert.equal(
    positions,
    Array.from(positions, (_, i) => i + 1),
    'no hole, no line twice',
  );
});

test('--init: the weights and the sizes of another run, the rest fresh; other channels and images are adapted and told', async () => {
  const begun = join(home, 'begun');
  const flags = ['--init', latest, '--output_dir', begun, '--input_size', '32x48', '--max_steps', '1', '--lr', '1e-12'];
  const { code, err } = await cli(['pretrain', '--data_path', data, ...steps, ...flags]);
  assert.is(code, 0, err);
  assert.match(err, /init: .*checkpoint\.safetensors: \d+ tensors taken; not from it: pos_embed, decoder_pos_embed/);
  const [from, to] = await Promise.all([loadCheckpoint(latest), loadCheckpoint(join(begun, 'checkpoint.safetensors'))]);
  assert.equal([to.config.embed_dim, to.config.decoder_embed_dim, to.config.img_size], [24, 32, [32, 48]]);
  for (const [name, own] of from.weights) {
    if (name.endsWith('pos_embed')) continue;
    const now = to.weights.get(name) as Float32Array;
    assert.ok(
      own.every((x, i) => Math.abs(x - now[i]) < 1e-6),
      name,
    );
  }
  const wrong = await pretrain('--init', latest, '--depth', '2', '--output_dir', join(home, 'wrong'));
  assert.is(wrong.code, 1);
  assert.match(wrong.err, /init: the checkpoint's encoder has depth 1 \(this run: 2\)/);
  const none = await pretrain('--init', join(home, 'none'), '--output_dir', join(home, 'wrong'));
  assert.match(none.err, /read: .*none: No such file or directory: name a checkpoint/);
});

test.run();
