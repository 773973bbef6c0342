// The parts of probing and fine-tuning beside PyTorch: fixtures/heads.json and mixing.json are what the scripts of these names in test/oracle/
// computed there.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { add } from '../engine/ops/elementwise.ts';
import { batchNorm } from '../engine/ops/batch-norm.ts';
import { classTargets, crossEntropy } from '../engine/ops/cross-entropy.ts';
import { dropPath } from '../engine/ops/drop-path.ts';
import { maskedMse } from '../engine/ops/masked-mse.ts';
import { AdamW } from '../engine/optim/adamw.ts';
import { Ema } from '../engine/optim/ema.ts';
import type { Optimizer } from '../engine/optim/optimizer.ts';
import { Lars, Sgd } from '../engine/optim/sgd.ts';
import { Parameters } from '../engine/parameters.ts';
import type { Tensor } from '../engine/tensor.ts';
import { mixBlend, mixErase } from '../kernels/mix/mix.ts';
import { AUGMENTATIONS, cutmixBox, erasedBoxes } from '../mae/data/augmentation.ts';
import { STREAM } from '../mae/data/streams.ts';
import { interpolatePositions } from '../mae/model/posembed.ts';
import { layerGroups } from '../mae/train/optimizer.ts';
import { learningRate, plateau } from '../mae/train/schedule.ts';
import { weigh } from '../engine/testing/gradient.ts';
import { fixture } from './support/photographs.ts';

// biome-ignore lint/suspicious/noExplicitAny: numbers and lists of them, by the names that the scripts give
const [f, mixing] = ['heads.json', 'mixing.json'].map((name) => fixture<any>(name));
const device = await openDawn({ raiseLimits: false });

/** Norm of the difference over the norm of what it should be. */
function close(got: ArrayLike<number>, want: readonly number[], bound = 1e-5, what = ''): void {
  assert.is(got.length, want.length, what);
  let [difference, norm] = [0, 0];
  for (const [i, x] of want.entries()) {
    difference += (got[i] - x) ** 2;
    norm += x ** 2;
  }
  const error = Math.sqrt(difference) / (Math.sqrt(norm) || 1);
  assert.ok(error <= bound, `${what} is ${error} off`);
}

const SHAPES = { w: [7, 13], b: [7], long: [3, 50], zero: [4, 4], one: [1] } as const;
const both = (weightDecay: number) => () => ({ weightDecay, lrScale: 1 });

for (const [name, make] of [
  ['sgd', (p) => new Sgd(p, { momentum: 0.9, group: both(0.01) })],
  ['nesterov', (p) => new Sgd(p, { momentum: 0.8, nesterov: true, group: both(0) })],
  ['adamw', (p) => new AdamW(p, { betas: [0.9, 0.999], group: both(0.05) })],
  ['lars', (p) => new Lars(p, { group: ({ shape }) => ({ weightDecay: shape.length > 1 ? 0.02 : 0, lrScale: 1 }) })],
] as const satisfies readonly (readonly [string, (p: Parameters) => Optimizer])[]) {
  test(`${name}: every tensor after ${f.rates.length} steps`, async () => {
    using engine = new Engine(device);
    const specs = Object.entries(SHAPES).map(([n, shape]) => ({ name: n, shape }));
    const parameters = new Parameters(engine, 'p', specs);
    const begin = Object.entries(f[name].begin as Record<string, number[]>);
    parameters.load(new Map(begin.map(([n, values]) => [n, Float32Array.from(values)])));
    const optimizer: Optimizer = make(parameters);
    const types = Object.fromEntries(specs.map(({ name: n }) => [n, 'f32' as const]));
    // The gradient of <parameter, input> is the input.
    const program = engine.compile(types, (inputs, t) => {
      const loss = specs
        .map(({ name: n }) => weigh({ x: t.use(parameters.get(n)), w: inputs[n] }, {}).sum)
        .reduce((a, b) => add({ a, b }, {}).y);
      optimizer.accumulate(t, t.backward(loss), true);
      optimizer.update(t);
      return { loss } as Record<string, Tensor>;
    });
    for (const [i, lr] of f.rates.entries()) {
      optimizer.setLearningRate(lr);
      const grads = f[name].grads[i];
      const inputs = specs.map(({ name: n, shape }) => [n, { data: Float32Array.from(grads[n]), shape }]);
      await program.run(Object.fromEntries(inputs));
    }
    for (const [n, values] of await parameters.read()) close(values, f[name].end[n], 1e-5, `${name} ${n}`);
  });
}

test('batch norm: training, its gradient, running statistics, evaluation', async () => {
  using engine = new Engine(device);
  const { x0, x1, dy, y, dx, mean, var: variance, eval: judged } = f.batchnorm;
  const running = {
    running_mean: engine.variable('mean', [5], { data: new Float32Array(5) }),
    running_var: engine.variable('var', [5], { data: new Float32Array(5).fill(1) }),
  };
  const x = engine.variable('x', [9, 5], { trainable: true });
  const how = { eps: 1e-6, momentum: 0.1, training: true };
  const train = engine.compile({ dy: 'f32' }, (inputs, t) => {
    const out = batchNorm({ x: t.use(x), ...running }, how).y;
    const grads = t.backward(weigh({ x: out, w: inputs.dy }, {}).sum);
    return { y: out, dx: grads.get(x) as Tensor };
  });
  const given = { dy: { data: Float32Array.from(dy as number[]), shape: [9, 5] } };
  engine.write(x, Float32Array.from(x0 as number[]));
  await (await train.run(given)).read();
  engine.write(x, Float32Array.from(x1 as number[]));
  const result = await (await train.run(given)).read();
  close(result.y, y, 1e-5, 'y');
  close(result.dx, dx, 1e-5, 'dx');
  close(await engine.read(running.running_mean), mean, 1e-5, 'running mean');
  close(await engine.read(running.running_var), variance, 1e-5, 'running variance');
  const evaluate = engine.compile({ x: 'f32' }, (inputs) => ({
    y: batchNorm({ x: inputs.x, ...running }, { ...how, training: false }).y,
  }));
  const out = await (await evaluate.run({ x: { data: Float32Array.from(x0 as number[]), shape: [9, 5] } })).read();
  close(out.y, judged, 1e-5, 'evaluation');
});

test('cross-entropy: smoothed and mixed labels, loss and gradient', async () => {
  using engine = new Engine(device);
  const { logits, labels, smoothing, lam, targets, loss, grad, smoothed } = f.crossentropy;
  const z = engine.variable('logits', [6, 11], { data: Float32Array.from(logits as number[]), trainable: true });
  const types = { labels: 'i32', partner: 'i32', lambda: 'f32' } as const;
  const program = engine.compile(types, (inputs, t) => {
    const mixed = classTargets(inputs, { classes: 11, smoothing });
    const own = classTargets({ labels: inputs.labels }, { classes: 11, smoothing });
    const out = crossEntropy({ logits: t.use(z), targets: mixed }, {}).loss;
    const plain = t.noGrad(() => crossEntropy({ logits: t.use(z), targets: own }, {}).loss);
    return { mixed, loss: out, plain, grad: t.backward(out).get(z) as Tensor };
  });
  const shape = [6];
  const result = await (
    await program.run({
      labels: { data: Int32Array.from(labels as number[]), shape },
      partner: { data: Int32Array.from([...labels].reverse() as number[]), shape },
      lambda: { data: Float32Array.of(lam), shape: [1] },
    })
  ).read();
  close(result.mixed, targets, 1e-6, 'targets');
  close(result.loss, [loss], 1e-6, 'loss');
  close(result.plain, [smoothed], 1e-6, 'smoothed loss');
  close(result.grad, grad, 1e-5, 'gradient');
});

test('L1 over removed, normalised patches', async () => {
  using engine = new Engine(device);
  const { pred, img, mask, loss, grad } = f.l1;
  const p = engine.variable('pred', [2, 4, 12], { data: Float32Array.from(pred as number[]), trainable: true });
  const program = engine.compile({ img: 'f32', mask: 'f32' }, (inputs, t) => {
    const out = maskedMse({ pred: t.use(p), ...inputs }, { patch_size: 2, normPix: true, l1: true }).loss;
    return { loss: out, grad: t.backward(out).get(p) as Tensor };
  });
  const result = await (
    await program.run({
      img: { data: Float32Array.from(img as number[]), shape: [2, 3, 4, 4] },
      mask: { data: Float32Array.from(mask as number[]), shape: [2, 4] },
    })
  ).read();
  close(result.loss, [loss]);
  close(result.grad, grad);
});

test('schedules: StepLR and ReduceLROnPlateau', () => {
  const base = { lr: 0.4, min_lr: 0, warmup_epochs: 0, epochs: 10 };
  const steps = (f.step as number[]).map((_, epoch) =>
    learningRate(epoch, { ...base, sched: 'step', step_epochs: 3, gamma: 0.2 }),
  );
  close(steps, f.step, 1e-12);
  let state = { best: null as number | null, bad: 0, factor: 1 };
  const rates = (f.plateau.losses as number[]).map((value) => {
    state = plateau(state, value, { patience: 2, gamma: 0.5 });
    return learningRate(1, { ...base, sched: 'plateau', factor: state.factor });
  });
  close(rates, f.plateau.rates, 1e-12);
});

test('positions interpolated to larger and smaller grids', () => {
  for (const name of ['larger', 'smaller']) {
    const { table, to, out } = f[name];
    close(interpolatePositions(Float32Array.from(table as number[]), 8, [3, 4], to), out, 1e-6, name);
  }
});

test('layer decay: embeddings least, head most; no weight decay for vectors, cls token and positions', () => {
  const group = layerGroups(12, 0.65, 0.05);
  const of = (name: string, ...shape: number[]) => group({ name, shape });
  assert.equal(of('pos_embed', 1, 197, 768), { weightDecay: 0, lrScale: 0.65 ** 13 });
  assert.equal(of('patch_embed.proj.weight', 768, 3, 16, 16), { weightDecay: 0.05, lrScale: 0.65 ** 13 });
  assert.equal(of('blocks.0.mlp.fc1.weight', 3072, 768), { weightDecay: 0.05, lrScale: 0.65 ** 12 });
  assert.equal(of('blocks.11.norm1.bias', 768), { weightDecay: 0, lrScale: 0.65 });
  assert.equal(of('head.weight', 1000, 768), { weightDecay: 0.05, lrScale: 1 });
});

test('stochastic depth: its coins, the branch, both gradients', async () => {
  using engine = new Engine(device);
  const { ids, epoch, x, r, dy, y, dx, dr, ...how } = mixing.droppath;
  const shape = [12, 3, 4];
  const given = (data: number[]) => ({ data: Float32Array.from(data), shape, trainable: true });
  const [branch, rest] = [engine.variable('x', shape, given(x)), engine.variable('r', shape, given(r))];
  const program = engine.compile({ ids: 'u32', clock: 'u32', dy: 'f32' }, (inputs, t) => {
    const out = dropPath({ x: t.use(branch), r: t.use(rest), ids: inputs.ids, clock: inputs.clock }, how).y;
    const grads = t.backward(weigh({ x: out, w: inputs.dy }, {}).sum);
    return { y: out, dx: grads.get(branch) as Tensor, dr: grads.get(rest) as Tensor };
  });
  const clock = { data: Uint32Array.of(epoch, 9), shape: [2] };
  const result = await (
    await program.run({ ids: { data: Uint32Array.from(ids as number[]), shape: [12] }, clock, dy: given(dy) })
  ).read();
  close(result.y, y, 1e-6, 'y');
  close(result.dx, dx, 1e-6, 'dx');
  close(result.dr, dr, 1e-6, 'dr');
});

test('mixup and cutmix of images', async () => {
  using engine = new Engine(device);
  const { x, lam, mixup, box, cutmix } = mixing.blend;
  const program = engine.compile({ x: 'f32', how: 'f32' }, (inputs, t) => ({
    y: t.run(mixBlend, inputs, { batch: 4, chans: 2, height: 5, width: 6 }).y,
  }));
  for (const [how, want] of [
    [[lam, 0, 0, 0, 0], mixup],
    [[lam, ...box], cutmix],
  ]) {
    const images = { data: Float32Array.from(x as number[]), shape: [4, 2, 5, 6] };
    const { y } = await (await program.run({ x: images, how: { data: Float32Array.from(how), shape: [5] } })).read();
    close(y, want, 1e-6);
  }
});

test("cutmix's boxes, and the part of the label that is left", () => {
  for (const { size, lam, centre, box, left } of mixing.boxes) {
    const found = cutmixBox(lam, centre, size);
    assert.equal(found.box, box);
    assert.ok(Math.abs(found.lambda - left) < 1e-12);
  }
});

test('random erasing: whether, where, and the noise', async () => {
  using engine = new Engine(device);
  const { seed, epoch, size, chans, ids, boxes, x, y, many } = mixing.erasing;
  const of = (reprob: number, samples: readonly number[], [height, width]: [number, number]) => [
    ...erasedBoxes({ ...AUGMENTATIONS.medium, reprob }, Uint32Array.from(samples), [height, width], seed, epoch),
  ];
  assert.equal(of(0.25, Array.from(many.keys()), [32, 48]), many.flat());
  assert.equal(of(0.9, ids, size), boxes.flat());
  const [height, width] = size;
  const sizes = { batch: ids.length, chans, height, width, seed, stream: STREAM.eraseNoise };
  const program = engine.compile({ x: 'f32', boxes: 'u32', ids: 'u32', clock: 'u32' }, (inputs, t) => ({
    y: t.run(mixErase, inputs, sizes).y,
  }));
  const words = (data: number[], ...shape: number[]) => ({ data: Uint32Array.from(data), shape });
  const result = await (
    await program.run({
      x: { data: Float32Array.from(x as number[]), shape: [ids.length, chans, height, width] },
      boxes: words(boxes.flat(), ids.length, 4),
      ids: words(ids, ids.length),
      clock: words([epoch, 0], 2),
    })
  ).read();
  // WGSL promises 2^-11 of a cosine.
  close(result.y, y, 2e-3);
});

test('layer decay: every parameter of a small model, and its weight decay', () => {
  const { depth, decay, weight_decay, groups } = mixing.layers;
  const group = layerGroups(depth, decay, weight_decay);
  for (const { name, ndim, lr, wd } of groups) {
    const found = group({ name, shape: new Array(ndim).fill(2) });
    assert.ok(Math.abs(found.lrScale - lr) < 1e-12 && found.weightDecay === wd, name);
  }
});

test('the cosine after a warm-up', () => {
  const { at, rates, ...schedule } = mixing.cosine;
  close(
    (at as number[]).map((epoch) => learningRate(epoch, schedule)),
    rates,
    1e-12,
  );
});

test('averages follow the weights', async () => {
  using engine = new Engine(device);
  const specs = [{ name: 'w', shape: [70] }];
  const [own, averages] = [new Parameters(engine, 'p', specs), new Parameters(engine, 'a', specs)];
  const at = (step: number) => Float32Array.from({ length: 70 }, (_, i) => i + step);
  averages.load(new Map([['w', at(0)]]));
  const ema = new Ema(own, averages, 0.75);
  const program = engine.compile({}, (_, t) => {
    ema.update(t);
    return {} as Record<string, Tensor>;
  });
  let want = 0;
  for (const step of [4, 8, 2]) {
    own.load(new Map([['w', at(step)]]));
    await program.run({});
    want += 0.25 * (step - want);
  }
  close((await averages.read()).get('w') as Float32Array, [...at(want)], 1e-6);
});

test.after(() => device.dispose());
test.run();
