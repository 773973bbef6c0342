// The benches and the timings on an adapter, through the command line.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import sharp from 'sharp';
import { Engine } from '../engine/engine.ts';
import { madeUp } from '../engine/madeup.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { cast } from '../engine/ops/cast.ts';
import { linear } from '../engine/ops/linear.ts';
import type { Variable } from '../engine/tensor.ts';
import { record, Recorder } from '../engine/timings.ts';
import { random } from '../kernels/random/random.ts';
import { cli } from './support/spawn-cli.ts';

const test = suite('bench', { folder: '' });
test.before((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'tesserae-bench-'));
});
test.after(({ folder }) => rmSync(folder, { recursive: true }));

const SIZES =
  '--input_size 8 --patch_size 4 --embed_dim 24 --depth 1 --num_heads 2 --decoder_embed_dim 16 --decoder_depth 1 --decoder_num_heads 1'.split(
    ' ',
  );

test('bench kernels --only layernorm --json: its kernels, times, shares and conditions', async ({ folder }) => {
  const file = join(folder, 'kernels.json');
  const { code, out, err } = await cli(['bench', 'kernels', '--only', 'layernorm', ...SIZES, '--json', file]);
  assert.is(code, 0, err);
  const report = JSON.parse(readFileSync(file, 'utf8'));
  assert.equal(report.rows.map((row: { kernel: string }) => row.kernel).sort(), [
    'layernorm.backward',
    'layernorm.forward',
  ]);
  for (const row of report.rows) {
    for (const key of ['ms', 'flops', 'bytes', 'share']) assert.ok(row[key] > 0, key);
    assert.ok(out.includes(row.kernel));
  }
  for (const key of ['description', 'node', 'webgpu', 'cpu']) assert.ok(report.conditions[key], key);
  assert.ok(out.split('\n').every((line) => line.length <= 130) && /at best: copies [\d.]+ GB\/s/.test(out));
  const wrong = await cli(['bench', 'kernels', '--only', 'layernrm']);
  assert.is(wrong.code, 2);
  assert.match(wrong.err, /^tesserae: --only layernrm: no kernel has that in its name; did you mean layernorm\?\n$/);
});

test('made-up numbers: given ones repeated, others drawn, in f32 and f16, to the last element', async () => {
  using device = await openDawn();
  using engine = new Engine(device);
  const n = 2 ** 20 + 2 ** 19 + 4;
  const made = await madeUp(engine, [
    { name: 'given', shape: [10, 4], dtype: 'f32', data: [1, 2, 3, 4, 5, 6, 7, 8] },
    { name: 'half', shape: [3, 4], dtype: 'f16', data: [0.5, -2, 8, 1.25] },
    { name: 'drawn', shape: [n], dtype: 'f32' },
    { name: 'drawn half', shape: [n], dtype: 'f16' },
    { name: 'ids', shape: [3], dtype: 'u32', data: [7, 8, 9] },
    { name: 'none', shape: [3], dtype: 'i32' },
  ]);
  const variable = (name: string): Variable => made.get(name) as Variable;
  const read = async (name: string): Promise<number[]> => {
    if (variable(name).dtype !== 'f16') return Array.from(await engine.read(variable(name)));
    const program = engine.compile({}, (_, t) => ({ x: cast(t, t.use(variable(name)), 'f32') }));
    return Array.from((await (await program.run({})).read()).x);
  };
  assert.equal(
    await read('given'),
    Array.from({ length: 40 }, (_, i) => 1 + (i % 8)),
  );
  assert.equal(await read('half'), [0.5, -2, 8, 1.25, 0.5, -2, 8, 1.25, 0.5, -2, 8, 1.25]);
  assert.equal(
    [await read('ids'), await read('none')],
    [
      [7, 8, 9],
      [0, 0, 0],
    ],
  );
  const [drawn, half] = [await read('drawn'), await read('drawn half')];
  assert.equal([drawn.length, half.length], [n, n]);
  const variance = drawn.reduce((sum, x) => sum + x * x, 0) / n;
  assert.ok(Math.abs(variance - 1) < 0.05 && drawn.slice(-4).every((x) => x !== 0), `variance ${variance}`);
  assert.ok(drawn.every((x, i) => Math.abs(x - half[i]) <= 1e-3 * Math.abs(x) + 1e-7));
});

test('bench infer: a row for every batch size asked for', async () => {
  const { code, out, err } = await cli(['bench', 'infer', ...SIZES, '--batches', '1,4', '--seconds', '0.05', '--json']);
  assert.is(code, 0, err);
  const { rows } = JSON.parse(out);
  assert.equal(
    rows.map((row: { batch: number }) => row.batch),
    [1, 4],
  );
  for (const row of rows) assert.ok(row.images_per_s > 0 && row.ms > 0 && row.p95_ms >= row.ms);
});

/** Images of noise in a folder. */
async function images(folder: string, count: number): Promise<string> {
  const rng = random(Math.floor(2 ** 31 * Math.random()));
  for (let i = 0; i < count; i++) {
    const raw = { width: 9, height: 8, channels: 3 as const };
    const data = Uint8Array.from({ length: 9 * 8 * 3 }, () => rng.below(256));
    await sharp(data, { raw })
      .png()
      .toFile(join(folder, `${i}.png`));
  }
  return folder;
}

/** Arguments of a run in batches of 4. */
function pretraining(data: string, epochs: number, output_dir: string, ...more: string[]): string[] {
  const said = ['--data_path', data, '--batch_size', '4', '--epochs', String(epochs), '--output_dir', output_dir];
  return ['pretrain', ...SIZES, ...said, ...more];
}

test('bench data tells the pipeline, the step and which of them limits; --timings and --trace change no bit of a run', async ({
  folder,
}) => {
  const data = await images(mkdtempSync(join(folder, 'images-')), 12);
  const bench = await cli(['bench', 'data', '--data_path', data, ...SIZES, '--batch_size', '4', '--seconds', '0.1']);
  assert.is(bench.code, 0, bench.err);
  assert.match(bench.out, /decode, pack.*\n.*upload, crop.*\n.*step.*\nthe (data|device) limits: /);

  const trace = join(folder, 'träce 1.json');
  const run = (name: string, ...more: string[]) => cli(pretraining(data, 1, join(folder, name), ...more));
  const plain = await run('plain');
  assert.is(plain.code, 0, plain.err);
  const timed = await run('timed', '--timings', '--trace', trace);
  assert.is(timed.code, 0, timed.err);
  const losses = (name: string): number[] =>
    readFileSync(join(folder, name, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).loss);
  assert.equal(losses('timed'), losses('plain'));
  for (const what of [/^gemm +\d+ +[\d.]+ /m, /^all kernels .*100\.0 %/m, /^whole command/m, /ui\.perfetto\.dev/])
    assert.match(timed.err, what);
  assert.ok(timed.err.split('\n').every((line) => line.length <= 120));

  const { traceEvents } = JSON.parse(readFileSync(trace, 'utf8'));
  const of = (name: string) =>
    traceEvents.filter((event: { name: string; ph: string }) => event.name === name && event.ph === 'X');
  assert.is(of('adamw.update').length, 3, 'a pass for every step');
  for (const name of ['batch 0', 'submit', 'encode', 'compile', 'wait for results', 'save checkpoint.safetensors'])
    assert.ok(of(name).length, name);
  const submits = Math.min(...of('submit').map((event: { ts: number }) => event.ts));
  const passes = traceEvents.filter((event: { pid: number; ph: string }) => event.pid === 2 && event.ph === 'X');
  // The alignment is to the moment before the call, which itself takes some microseconds.
  assert.ok(passes.every((event: { ts: number; dur: number }) => event.ts >= submits - 1000 && event.dur >= 0));
  const refused = await run('none', '--trace', join(folder, 'no such folder', 't.json'));
  assert.is(refused.code, 2);
  assert.match(
    refused.err,
    /^tesserae: --trace .*: No such file or directory: make its folder first, or choose another\n$/,
  );
});

test('an interrupt leaves a whole trace', async ({ folder }) => {
  const data = await images(mkdtempSync(join(folder, 'images-')), 8);
  const [trace, out] = [join(folder, 'cut.json'), join(folder, 'cut')];
  const { code, err } = await cli(pretraining(data, 100000, out, '--trace', trace), {}, (child) => {
    const timer = setInterval(() => {
      if (!existsSync(join(out, 'metrics.jsonl'))) return;
      clearInterval(timer);
      child.kill('SIGINT');
    }, 50);
    child.on('close', () => clearInterval(timer));
  });
  assert.is(code, 130, err);
  const { traceEvents } = JSON.parse(readFileSync(trace, 'utf8'));
  assert.ok(traceEvents.some(({ name }: { name: string }) => name === 'gemm'));
});

test('without timestamps every kernel is submitted alone, with the same results', async () => {
  const results: unknown[] = [];
  const shape = { rows: 6, dim: 8, out: 4 };
  const rng = random(Math.floor(2 ** 31 * Math.random()));
  const numbers = (n: number) => Float32Array.from({ length: n }, () => rng.normal());
  const [x, w, b] = [numbers(shape.rows * shape.dim), numbers(shape.out * shape.dim), numbers(shape.out)];
  for (const without of [undefined, [], ['timestamp-query']]) {
    using device = await openDawn({ without });
    using engine = new Engine(device);
    const recorder = without && new Recorder(true);
    record(recorder ?? null);
    try {
      const [vw, vb] = [
        engine.variable('w', [shape.out, shape.dim], { data: w }),
        engine.variable('b', [shape.out], { data: b }),
      ];
      const program = engine.compile(
        { x: 'f32' },
        (inputs, t) => linear({ x: inputs.x, w: t.use(vw), b: t.use(vb), r: null }, {}) as never,
      );
      const input = { x: { data: x, shape: [shape.rows, shape.dim] } };
      // Runs that nobody awaits in between must not mix.
      const runs = [program.run(input), program.run(input), program.run(input), program.run(input), program.run(input)];
      results.push(await Promise.all(runs.map(async (one) => (await one).read())));
      await recorder?.settled();
    } finally {
      record(null);
    }
    if (!recorder) continue;
    const timestamps = device.traits.features.has('timestamp-query');
    assert.is(recorder.byWaiting, !timestamps);
    assert.is(recorder.kernels.get('gemm')?.calls, 5);
    assert.ok(recorder.passes.every(({ began, ended }) => ended >= began));
  }
  assert.equal(results[1], results[0]);
  assert.equal(results[2], results[0]);
});

test.run();
