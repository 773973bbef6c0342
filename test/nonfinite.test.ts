// A NaN anywhere in a training step, planted on the device behind the run's back: it is caught within a step, named, and costs at most the steps since
// the last good state. A clean run hears of nothing.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { TesseraeError } from '../engine/errors.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { relu } from '../engine/ops/relu.ts';
import type { Variable } from '../engine/tensor.ts';
import { numel } from '../engine/tensor.ts';
import type { Precision } from '../engine/trace.ts';
import { elementwiseDrelu } from '../kernels/elementwise/elementwise.ts';
import { random } from '../kernels/random/random.ts';
import { loadCheckpoint } from '../mae/train/checkpoint.ts';
import { ruinedIn } from '../mae/train/diagnose.ts';
import { parsePretrainOptions } from '../mae/train/options.ts';
import { pretrain } from '../mae/train/pretrain.ts';
import { silent } from '../mae/train/reporter.ts';
import { fakeCifar } from './support/kill-resume.ts';
import { spyOn } from './support/spy.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const places = Number(process.env.PLACES ?? 8);
console.log(`SEED=${seed}`);
const rng = random(seed);
const device = await openDawn({ profile: 'simt' });
const { queue } = device.gpu;
const spy = spyOn(device.gpu);
const home = mkdtempSync(join(tmpdir(), 'tesserae-nonfinite-'));
fakeCifar(join(home, 'data'), seed);
test.after(() => rmSync(home, { recursive: true, force: true }));

/** Updates of an epoch of 160 images, and how often they are saved. */
const STEPS = 10;
const SAVED = 3;
/** Submits of an update over two micro-batches: images, gradients, images, gradients and update. */
const SUBMITS = { first: 2, last: 4 } as const;

/** Called before a submit of an update: `step` from 1, and which of its submits. */
let plant: (step: number, submit: number) => void = () => {};
let [step, submits] = [0, 0];
const { writeBuffer, submit } = { writeBuffer: queue.writeBuffer.bind(queue), submit: queue.submit.bind(queue) };
Object.defineProperty(queue, 'writeBuffer', {
  value: (buffer: GPUBuffer, ...rest: [number, Float32Array<ArrayBuffer>]) => {
    // The learning rate of an update is written before all else of it.
    if (buffer.label === 'adamw.hyper' && rest[1].length === 1) [step, submits] = [step + 1, 0];
    return writeBuffer(buffer, ...rest);
  },
});
Object.defineProperty(queue, 'submit', {
  value: (commands: GPUCommandBuffer[]) => {
    plant(step, ++submits);
    return submit(commands);
  },
});

function poison(label: string, element: number): void {
  const buffers = [...spy.buffers].filter((b) => b.label === label);
  assert.is(buffers.length, 1, `buffers that are called ${label}`);
  writeBuffer(buffers[0], 4 * element, Uint32Array.of(rng.below(2) ? 0x7fc00000 : 0xff800000));
}

async function train(name: string, flags: Record<string, unknown> = {}, precision: Precision = 'f32') {
  const output_dir = join(home, name);
  const engine = new Engine(device, { precision });
  const notes: string[] = [];
  const checked: (string | null)[] = [];
  step = 0;
  const sizes = { model: 'mae_vit_nano_patch4_32', embed_dim: 48, depth: 1, decoder_depth: 1, heldout: 0 };
  const options = parsePretrainOptions({
    ...sizes,
    data_path: join(home, 'data'),
    output_dir,
    batch_size: 8,
    accum_iter: 2,
    epochs: 1,
    warmup_epochs: 0,
    save_steps: SAVED,
    ...flags,
  });
  const note = (line: string): void => void notes.push(line);
  try {
    const { model } = await pretrain(engine, options, { ...silent, note });
    const checkpoint = await loadCheckpoint(join(output_dir, 'checkpoint.safetensors'), { training: true });
    checked.push(ruinedIn(checkpoint));
    const lines = readFileSync(join(output_dir, 'metrics.jsonl'), 'utf8').trim().split('\n');
    const metrics: { step: number; loss?: number; left_out?: number }[] = lines.map((line) => JSON.parse(line));
    const log = JSON.parse(readFileSync(join(output_dir, 'log.txt'), 'utf8'));
    return { notes, checkpoint, metrics, log, parameters: [...model.parameters.variables.values()] };
  } finally {
    plant = () => {};
    engine.dispose();
    assert.equal(checked.filter(Boolean), [], 'a checkpoint was ruined');
  }
}

const told = (notes: readonly string[]): string[] => notes.filter((line) => /not finite|computed again/.test(line));
let parameters: readonly Variable[];
let clean: Awaited<ReturnType<typeof train>>;

test('a clean run hears of nothing', async () => {
  clean = await train('clean');
  ({ parameters } = clean);
  assert.equal(told(clean.notes), []);
  assert.is(clean.metrics.filter(({ loss }) => Number.isFinite(loss)).length, STEPS);
  assert.is(clean.checkpoint.optimizer?.step, STEPS);
});

/** What is poisoned, at which submit, at the step after which it shows, and the name that is told (null: gone when it is computed again). */
const KINDS = [
  { what: 'a weight', of: '', at: SUBMITS.first, shows: 0 },
  { what: 'a first moment', of: 'adamw.m of ', at: SUBMITS.last, shows: 1 },
  { what: 'a second moment', of: 'adamw.v of ', at: SUBMITS.first, shows: 1 },
] as const;

for (let i = 0; i < places; i++) {
  const kind = KINDS[i % KINDS.length];
  test(`${kind.what} that is no number: named, and the run goes back and on (${i + 1})`, async () => {
    const trained = parameters.filter((v) => v.trainable);
    const { name, slab, offset, shape } = trained[rng.below(trained.length)];
    const element = offset + rng.below(numel(shape));
    const when = 1 + rng.below(STEPS - 1);
    let planted = 0;
    plant = (at, nth) => {
      if (at !== when || nth !== kind.at || planted++) return;
      poison(`${kind.of}${slab.label}`, element);
    };
    const { notes, metrics, log, checkpoint } = await train(`kind ${i}`);
    assert.is(planted, 1);
    const called = kind.of ? kind.of.replace(' of ', `.${name}`) : name;
    const [line, ...more] = told(notes);
    console.log(line);
    assert.equal(more, []);
    // The state is looked at before every save; else the next step shows it.
    const saved = when % SAVED === 0 || when === STEPS;
    const step = kind.shows && !saved ? when + 1 : when;
    const kept = SAVED * Math.floor((step - 1) / SAVED);
    assert.ok(line.includes(`step ${step}`), line);
    assert.ok(line.includes(called), `${line}: ${called}`);
    assert.ok(line.endsWith(`going back to the weights of step ${kept}, leaving out the batches up to ${step}`), line);
    const before = metrics.filter((m) => m.step <= kept).map(({ step: s, loss }) => [s, loss]);
    assert.equal(
      before,
      clean.metrics.filter((m) => m.step <= kept).map(({ step: s, loss }) => [s, loss]),
    );
    assert.equal(
      metrics.filter((m) => m.left_out).map((m) => [m.step, m.left_out]),
      [[step, step - kept]],
    );
    assert.is(metrics.filter(({ loss }) => Number.isFinite(loss)).length, STEPS - (step - kept));
    assert.is(checkpoint.optimizer?.step, STEPS - (step - kept));
    if (step < STEPS) assert.ok(Number.isFinite(log.train_loss));
  });
}

test('in f16, too, where the loss scale forgives gradients that overflow: a weight that is no number is named', async () => {
  const { name, slab, offset } = parameters.filter((v) => v.trainable)[0];
  plant = (at, nth) => {
    if (at === 5 && nth === SUBMITS.first) poison(slab.label, offset);
  };
  const [line, ...more] = told((await train('f16', {}, 'f16')).notes);
  assert.equal(more, []);
  assert.ok(line.includes(name) && /^step 5: .*going back to the weights of step 3, leaving out/.test(line), line);
});

test('images and gradients that are no numbers for once: the step is skipped, and nothing else happens', async () => {
  const [images, gradient] = [2, 7];
  plant = (at, nth) => {
    if (at === images && nth === SUBMITS.first) poison('images 8', rng.below(8 * 3 * 32 * 32));
    if (at === gradient && nth === SUBMITS.last) poison(`grad of ${parameters[0].slab.label}`, parameters[0].offset);
  };
  const { notes, metrics, checkpoint } = await train('once');
  const lines = told(notes);
  assert.is(lines.length, 2, lines.join('\n'));
  assert.match(lines[0], /^step 2: the loss is NaN|^step 2: the loss is -?Infinity/);
  assert.match(lines[1], /^step 7: the loss is [\d.]+, its gradients are not finite/);
  for (const line of lines) assert.match(line, /computed again.*images are number \d+.* more; this step is left out$/);
  assert.equal(
    metrics.filter((m) => m.left_out).map((m) => m.step),
    [images, gradient],
  );
  assert.is(checkpoint.optimizer?.step, STEPS - 2);
  // Until the first of them the run is as if nothing happened.
  assert.is(metrics[0].loss, clean.metrics[0].loss);
});

test('a learning rate that drives weights to infinity ends the run, with a remedy', async () => {
  const error = await train('steep', { lr: 1e25, epochs: 6 }).catch((e: Error) => e);
  assert.instance(error, TesseraeError);
  const { message } = error as Error;
  console.log(message);
  assert.match(message, /^pretrain: .*not finite.*lower the learning rate.*did not help 3 times/);
});

for (const profile of ['cpu', 'simt'] as const)
  test(`${profile}: ReLU and its gradient hide no NaN`, async () => {
    using other = await openDawn({ profile });
    using engine = new Engine(other);
    const values = Float32Array.of(1.5, Number.NaN, -1, 0, Number.POSITIVE_INFINITY, Number.NaN, -0);
    const shape = [values.length];
    const program = engine.compile({ x: 'f32', dy: 'f32' }, ({ x, dy }, t) => {
      const { dx } = t.run(elementwiseDrelu, { x, dy }, { n: values.length });
      return { y: relu({ x }, {}).y, dx };
    });
    const dy = new Float32Array(values.length).fill(1);
    const { y, dx } = await (await program.run({ x: { data: values, shape }, dy: { data: dy, shape } })).read();
    assert.equal([...y], [1.5, Number.NaN, 0, 0, Number.POSITIVE_INFINITY, Number.NaN, 0]);
    assert.equal([...dx], [1, 1, 0, 0, 1, 1, 0]);
  });

test('nothing went wrong unseen', () => {
  device.check();
  device.dispose();
});
test.run();
