// The report of real runs: pictures of the same images through time, a table of kernels, curves; after an interrupt and a resume as without.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fakeCifar, hashOf } from './support/kill-resume.ts';
import { cli } from './support/spawn-cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'tesserae-report-'));
test.after(() => rmSync(folder, { recursive: true }));
const data = join(folder, 'data');
fakeCifar(data, Number(process.env.SEED ?? Date.now() % 2 ** 31));
const at = (...names: string[]): string => join(folder, ...names);
const flags =
  '--model mae_vit_nano_patch4_32 --depth 1 --decoder_depth 1 --batch_size 8 --heldout 4 --epochs 3 --warmup_epochs 1 --norm_pix_loss';
const train = (name: string, ...more: string[]) =>
  cli(['pretrain', '--data_path', data, '--output_dir', at(name), ...flags.split(' '), ...more]);

test('pretrain leaves a report; a run that went back and on ends with the same pictures', async () => {
  const whole = await train('whole', '--log_dir', at('events'), '--pictures', '3', '--dashboard', '0');
  assert.is(whole.code, 0, whole.err);
  assert.ok(whole.out.includes(at('whole', 'report.html')), whole.out);
  assert.match(whole.err, /^dashboard: http:\/\/127\.0\.0\.1:\d+\/$/m);
  const pictures = readdirSync(at('whole', 'pictures')).sort();
  assert.equal(pictures, [...[0, 1, 2, 3].map((n) => `epoch-000${n}.png`), 'masked.png', 'original.png']);
  const bytes = (run: string, name: string) => readFileSync(at(run, 'pictures', name)).toString('base64');
  assert.is(new Set(pictures.map((name) => bytes('whole', name))).size, pictures.length, 'every picture is another');
  const html = readFileSync(at('whole', 'report.html'), 'utf8');
  for (const name of ['original.png', 'epoch-0000.png', 'epoch-0003.png'])
    assert.ok(html.includes(bytes('whole', name)));
  assert.match(html, /<td>gemm<\/td>/);
  const { step } = JSON.parse(readFileSync(at('whole', 'run.json'), 'utf8'));
  assert.ok(step.gpuBytes > 1e6 && step.kernels.every((k: { ms: number }) => k.ms >= 0));
  const [events] = readdirSync(at('events'));
  assert.ok(readFileSync(at('events', events)).includes('heldout_loss'));

  // Stopped within the first epoch; a picture of a later state, which another run left there, goes.
  const cut = await train('cut', '--pictures', '3', '--max_steps', '2');
  assert.is(cut.code, 0, cut.err);
  writeFileSync(at('cut', 'pictures', 'epoch-0009.png'), 'of an older run');
  const rest = await train('cut', '--pictures', '3', '--resume', 'auto');
  assert.is(rest.code, 0, rest.err);
  assert.equal(readdirSync(at('cut', 'pictures')).sort(), pictures);
  for (const name of pictures) assert.is(bytes('cut', name), bytes('whole', name), name);

  const plain = await train('plain', '--pictures', '0');
  assert.is(plain.code, 0, plain.err);
  assert.not(readdirSync(at('plain')).includes('pictures'));
  for (const run of ['cut', 'plain'])
    assert.is(
      hashOf(at(run, 'checkpoint.safetensors')),
      hashOf(at('whole', 'checkpoint.safetensors')),
      'neither pictures nor a dashboard change a bit',
    );
});

test('report makes it again, and curves as files', async () => {
  rmSync(at('whole', 'report.html'));
  const { code, out, err } = await cli(['report', at('whole'), '--curves', 'png']);
  assert.is(code, 0, err);
  assert.equal(out.trim().split('\n').slice(0, 2), [at('whole', 'report.html'), at('whole', 'curves', 'loss.png')]);
  assert.equal([...readFileSync(at('whole', 'curves', 'loss.png')).subarray(1, 4)], [...Buffer.from('PNG')]);
  const wrong = await cli(['report', at('whole'), at('cut'), '--output', at('one.html')]);
  assert.is(wrong.code, 2);
  assert.match(wrong.err, /--output names one page, for one run; here are 2/);
});

test.run();
