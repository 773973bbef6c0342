// The command line: help without heavy modules, mistakes in one line with exit code 2, failures with 1, and what each command leaves.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { layernormForward } from '../kernels/layernorm/layernorm.ts';
import type { AnyKernel } from '../kernels/kernel.ts';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { explain } from '../mae/cli/explain.ts';
import { run } from '../mae/cli/program.ts';
import { problemsOf } from '../mae/cli/selfcheck.ts';
import { checkKernel } from '../engine/testing/check-kernel.ts';
import { loadSharp } from '../mae/data/sharp.ts';
import { speedText } from '../mae/durations.ts';
import { configure } from '../mae/model/config.ts';
import { writePhotograph } from './support/photographs.ts';
import { saveModel } from './support/saved.ts';
import { cli } from './support/spawn-cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'tesserae-cli-'));
test.after(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);

/** Sizes with which a step takes milliseconds. */
const TINY = {
  input_size: '8x12',
  patch_size: '4',
  embed_dim: '24',
  depth: '1',
  num_heads: '2',
  decoder_embed_dim: '16',
  decoder_depth: '1',
  decoder_num_heads: '1',
  batch_size: '4',
  mask_ratio: '0.5',
};
const flags = (of: Record<string, string>): string[] =>
  Object.entries(of).flatMap(([name, value]) => [`--${name}`, value]);

/** Module hooks that refuse what takes long to load. */
const source = (code: string): string => `data:text/javascript,${encodeURIComponent(code)}`;
const HOOK = source(`export function resolve(name, context, next) {
  if (/^(webgpu|sharp|vega|vega-lite|zod|yaml|cli-progress)$/.test(name)) throw new Error('loaded ' + name);
  return next(name, context);
}`);
const LIGHT = {
  NODE_OPTIONS: `--import ${source(`import { register } from 'node:module'; register(${JSON.stringify(HOOK)});`)}`,
};

test('help and version load nothing heavy', async () => {
  for (const args of [['--help'], [], ['help']]) {
    const { code, out, err } = await cli(args, LIGHT);
    assert.equal([code, err], [0, '']);
    for (const name of [
      'quickstart',
      'pretrain',
      'reconstruct',
      'doctor',
      'conformance',
      'bench',
      '--profile',
      '--adapter',
    ])
      assert.match(out, name);
  }
  const { out } = await cli(['--version'], LIGHT);
  assert.is(out.trim(), JSON.parse(readFileSync('package.json', 'utf8')).version);
  assert.match((await cli(['pretrain'], LIGHT)).err, 'loaded ', 'the hook must work');
});

test('the help of a command tells every flag with its default', async () => {
  const { code, out } = await cli(['pretrain', '--help']);
  assert.is(code, 0);
  for (const text of [
    '--batch_size <N>',
    '(default: 64)',
    '--norm_pix_loss',
    '--input_size <N|HxW>',
    '--config <FILE>',
    '--profile',
  ])
    assert.match(out, text);
});

for (const [args, code, said] of [
  [['pretrian'], 2, /pretrian is no command; did you mean pretrain\?/],
  [['--profle', 'cpu', 'doctor'], 2, /unknown option --profle; did you mean --profile\?/],
  [['--profile', 'cpu'], 2, /a command is missing/],
  [['doctor', '--profile', 'gpu'], 2, /--profile must be one of cpu, simt, matrix, got gpu/],
  [['bench'], 2, /say what: step, kernels, /],
  [['bench', 'peers', '--only', 'tfjs-webgpv'], 2, /--only: .*did you mean tfjs-webgpu\?/],
  [['bench', 'peers', '--save', '--work', 'gemm'], 2, /--save keeps whole results only/],
  [['bench', 'peers', '--work', 'lunch'], 2, /--work: nothing is named lunch; there are gemm 512/],
  [['bench', 'peers', '--profile', 'matrix'], 2, /--profile matrix multiplies in f16/],
  [['bench', 'stepp'], 2, /did you mean step\?/],
  [['bench', 'step', '--stepz', '3'], 2, /unknown option '--stepz'; did you mean --steps\?/],
  [['pretrain', '--no-batch-size'], 2, /--no_batch_size: --batch_size <N> takes a value and cannot .*: leave it out/],
  [['bench', 'step', '--no_steps', '3'], 2, /--no_steps: --steps <N> takes a value and cannot be turned off/],
  [['report', 'x', 'y', '--out=x.html'], 2, /--output names one page, for one run; here are 2/],
  [['compare', 'x', 'y', '--output-dir', 'runs'], 2, /--output must end in \.svg, got runs/],
  [['onnx', 'x', '--out', 'x.pt'], 2, /x\.pt: a name that ends in \.onnx is needed/],
  [['onnx', 'x.pth'], 2, /onnx: name the file to write: tesserae onnx x\.pth OUT\.onnx/],
  [['convert', 'x', 'y', '--output', 'z'], 2, /OUT y and --output z mean the same: keep one/],
  [['study', 'x.yaml', '--out', 'a', '--output_dir=b'], 2, /--out and --output_dir mean the same: keep one/],
  [['eval', 'x', '--data_path', 'y', '--out', 'a.png', '--confusion', 'b.png'], 2, /--confusion and --output mean the/],
  [['eval', 'x', '--data_path', 'y', '--output', 'folder'], 2, /--output must end in \.svg or \.png, got folder/],
  [['convert', 'x', 'y.safetensors', '--to', 'timm'], 2, /--to timm: timm's names are .*: --to mae, with --encoder/],
  [['convert', 'x', ''], 2, /convert: an argument is empty: is a variable of your shell not set/],
  [['convert', 'x', '--output', ''], 2, /--output is empty: name what to write/],
  [['eval', 'x', '--data_path', ''], 2, /--data_path must be some text, got ''/],
  [['run', 'mae'], 2, /run: mae is a folder: name a \.ts, /],
  [['run', 'LICENSE'], 2, /run: LICENSE is no program: name a \.ts, /],
  [['plan', '--no_measure', '--remeasure'], 2, /--no_measure and --remeasure exclude one another/],
  [['compare', 'x', 'x'], 2, /there is no x: name the output_dir of a run, a log\.txt, or a recipe/],
  // The checkpoint is looked at before there is a device.
  ...[
    'features no . --output x.npy --features gap',
    'knn no --data_path .',
    'linprobe no --data_path .',
    'bench infer no',
  ].map(
    (line) => [[...line.split(' '), '--adapter', 'nosuch'], 1, /read: no: No such file or directory: name a/] as const,
  ),
  [['eval', 'x', '--no_ema'], 2, /--no_ema: --ema is off unless given: leave it out/],
  [['bench', 'step', '--batch-size=0'], 2, /--batch_size must be a whole number of at least 1 and at most \d+, got 0/],
  [['bench', 'step', '--embed_dim', '100'], 2, /embed_dim 100 must be a multiple of its 3 heads/],
  [['pretrain', '--batch-size', '8'], 2, /--data_path is missing/],
  [['pretrain', '--data-path', 'x', '--bathc-size', '8'], 2, /did you mean --batch_size\?/],
  [
    ['pretrain', '--data_path', 'x', '--config', 'no.yaml'],
    2,
    /--config no\.yaml: No such file or directory: name a YAML file/,
  ],
  [['reconstruct', 'no.safetensors'], 2, /missing required argument 'images'/],
  [['reconstruct', 'no.safetensors', 'a.jpg'], 1, /no\.safetensors.*No such file or directory: name a checkpoint/],
  [
    ['reconstruct', 'no.safetensors', 'a.jpg', '--mask_ratio', '2'],
    2,
    /--mask_ratio must be a number above 0 and below 1, got 2/,
  ],
  [['conformance', 'package.json'], 1, /package\.json.*is it a safetensors file/],
] as const) {
  test(`tesserae ${args.join(' ')}: one line, exit code ${code}`, async () => {
    const told = await run(args).then(
      () => ({ line: 'no error', code: 0 }),
      (error: unknown) => explain(error),
    );
    assert.is(told.code, code, told.line);
    assert.match(told.line, said);
    assert.match(told.line, /^tesserae: [^\n]+$/);
  });
}

test('the process: one line on stderr, the exit code, nothing on stdout', async () => {
  for (const [args, code] of [
    [['pretrain', '--data-path', 'x', '--bathc-size', '8'], 2],
    [['conformance', 'package.json'], 1],
  ] as const) {
    const ended = await cli(args);
    assert.equal([ended.code, ended.out], [code, '']);
    assert.match(ended.err, /^tesserae: [^\n]+\n$/);
  }
});

test('a stack is shown where it is asked for, and only there', async () => {
  const { err } = await cli(['reconstruct', 'no.safetensors', 'a.jpg'], { TESSERAE_DEBUG: '1' });
  assert.match(err, /\n +at /);
});

test('an adapter that is not there', async () => {
  const { code, err } = await cli(['bench', 'step', '--adapter', 'no such adapter'], { TESSERAE_ADAPTER_KIND: '' });
  assert.is(code, 2, err);
  assert.match(err, /^tesserae: --adapter no such adapter: no adapter has that in its name; there (is|are) /);
});

test('bench step --json: one object with the promised numbers', async () => {
  const { code, out, err } = await cli(['bench', 'step', ...flags(TINY), '--steps', '2', '--json']);
  assert.is(code, 0, err);
  const figures = JSON.parse(out);
  for (const name of ['ms', 'images_per_s', 'gflop', 'peak_bytes', 'dispatches', 'host_ms', 'first_step_ms'])
    assert.ok(figures[name] > 0, name);
  assert.ok(figures.first_step_ms > figures.ms, 'the start of the process is part of it');
  assert.ok(Math.abs(figures.images_per_s * figures.ms - 4000) < 1e-6);
  assert.ok(Number.isInteger(figures.dispatches) && Number.isInteger(figures.peak_bytes));
});

test('reconstruct: a panel, the same for the same seed, another for another', async () => {
  const sizes = {
    img_size: [8, 12] as [number, number],
    embed_dim: 24,
    depth: 1,
    num_heads: 2,
    decoder_embed_dim: 16,
    decoder_depth: 1,
    decoder_num_heads: 1,
  };
  const config = configure('mae_vit_nano_patch4_32', sizes);
  await saveModel(at('c.safetensors'), { config });
  const sharp = await loadSharp();
  await writePhotograph(0, at('image.png'));
  const pictures: Buffer[] = [];
  for (const seed of ['1', '1', '2']) {
    const { code, out, err } = await cli([
      'reconstruct',
      at('c.safetensors'),
      at('image.png'),
      at('image.png'),
      '--seed',
      seed,
      '--output',
      at('out.png'),
    ]);
    assert.is(code, 0, err);
    assert.match(out, /3 of 6 patches were seen; the picture is .*out\.png\n$/);
    assert.is(out.match(/image\.png +\d\.\d{4}/g)?.length, 2);
    pictures.push(readFileSync(at('out.png')));
  }
  assert.ok(pictures[0].equals(pictures[1]));
  assert.not.ok(pictures[0].equals(pictures[2]));
  const { width } = await sharp(pictures[0]).metadata();
  assert.ok(width > 4 * 12 * 16);
});

test('pretrain by a YAML file leaves log, metrics and a checkpoint that reconstruct takes', async () => {
  mkdirSync(at('photos'));
  for (let i = 0; i < 11; i++) await writePhotograph(i, at(`photos/${i}.png`));
  const { batch_size, mask_ratio, ...sizes } = TINY;
  const yaml = {
    ...sizes,
    mask_ratio,
    data_path: at('photos'),
    model: 'mae_vit_nano_patch4_32',
    epochs: 2,
    warmup_epochs: 1,
    heldout: 3,
  };
  writeFileSync(
    at('run.yaml'),
    Object.entries(yaml)
      .map(([name, value]) => `${name}: ${value}\n`)
      .join(''),
  );
  const { code, out, err } = await cli([
    'pretrain',
    '--config',
    at('run.yaml'),
    '--batch-size',
    batch_size,
    '--output_dir',
    at('run'),
    '--pin_mem',
  ]);
  assert.is(code, 0, err);
  assert.match(err, '--pin_mem is not used');
  assert.match(out, 'checkpoint.safetensors has the model');
  // One speed: of the last line of progress, of the last step's metrics, and of the closing line.
  const speed = /^([\d.]+) images\/s, evaluations on the way included; /m.exec(out)?.[1];
  assert.match(err, ` ${speed} images/s  ETA 0:00`);
  const speeds = [...readFileSync(at('run/metrics.jsonl'), 'utf8').matchAll(/"images_per_s":([\d.]+)/g)];
  assert.is(speedText(Number(speeds.at(-1)?.[1])), speed);
  assert.match(readFileSync(at('run/loss.svg'), 'utf8'), 'mae_vit_nano_patch4_32 on photos');
  const log = readFileSync(at('run/log.txt'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.equal(
    log.map((line) => line.epoch),
    [0, 1],
  );
  for (const line of log) assert.ok(line.train_loss > 0 && line.train_lr > 0 && line.heldout_loss > 0);
  assert.is(readFileSync(at('run/metrics.jsonl'), 'utf8').match(/"loss"/g)?.length, 4);
  assert.ok(existsSync(at('run/checkpoint.safetensors')));
  assert.is(
    (await cli(['reconstruct', at('run/checkpoint.safetensors'), at('photos/0.png'), '--output', at('after.png')]))
      .code,
    0,
  );
});

test('doctor: right here, and a kernel that is wrong by little is seen', async () => {
  const { code, out, err } = await cli(['doctor', '--quick']);
  assert.is(code, 0, out + err);
  assert.match(out, /right +(\d+) of \1 kernels/);
  using device = await openDawn();
  using engine = new Engine(device);
  const kernel = layernormForward as unknown as AnyKernel;
  const [problem] = problemsOf(kernel);
  assert.ok((await checkKernel(engine, kernel, problem, 1)) <= 1);
  const reference: AnyKernel['reference'] = (arrays, p) => {
    kernel.reference(arrays, p);
    (arrays as { y: Float64Array }).y[0] += 1e-3;
  };
  assert.ok((await checkKernel(engine, { ...kernel, reference }, problem, 1)) > 1);
});

test.run();
