// What the trace makes of ops together: values used many times, no-grad, scaled losses, and the words of its errors. No GPU.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Random, random } from '../../kernels/random/random.ts';
import { elementwiseAxpy } from '../../kernels/elementwise/elementwise.ts';
import { TesseraeError } from '../../engine/errors.ts';
import { attention } from '../../engine/ops/attention.ts';
import { batchNorm } from '../../engine/ops/batch-norm.ts';
import { classTargets, crossEntropy } from '../../engine/ops/cross-entropy.ts';
import { dropPath } from '../../engine/ops/drop-path.ts';
import { add, dropout, gelu } from '../../engine/ops/elementwise.ts';
import { embed } from '../../engine/ops/embed.ts';
import { layernorm } from '../../engine/ops/layernorm.ts';
import { linear } from '../../engine/ops/linear.ts';
import { maskedMse } from '../../engine/ops/masked-mse.ts';
import { randomMasking } from '../../engine/ops/masking.ts';
import { mlp } from '../../engine/ops/mlp.ts';
import { patchify } from '../../engine/ops/patchify.ts';
import { pool } from '../../engine/ops/pool.ts';
import { restore } from '../../engine/ops/restore.ts';
import { take } from '../../engine/ops/take.ts';
import { makePlan } from '../../engine/plan.ts';
import { runReference } from '../../engine/reference.ts';
import { numel, Slab, type Tensor, Variable } from '../../engine/tensor.ts';
import { Trace } from '../../engine/trace.ts';
import { gradcheck } from '../../engine/testing/gradcheck.ts';
import { traitsOf, weighed } from '../../engine/testing/gradient.ts';
import type { Given, OpCase } from '../../engine/testing/case.ts';

const base = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const traits = traitsOf('simt');

const normal = (rng: Random, ...shape: number[]): Given => {
  const data = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => Math.fround(rng.normal()));
  return { shape, dtype: 'f32', data, grad: true };
};

/** A random graph over (rows, cols) tensors: every step takes earlier values, new and old, and shared weights. */
function graph(rng: Random): OpCase {
  const [rows, cols] = [1 + rng.below(6), 1 + rng.below(9)];
  const inputs = {
    x: normal(rng, rows, cols),
    w: normal(rng, cols, cols),
    v: normal(rng, cols, cols),
    b: normal(rng, cols),
    g: normal(rng, cols),
  };
  const picks = Array.from({ length: 9 }, () => [rng.below(5), rng.below(2 ** 20), rng.below(2 ** 20)]);
  const forward = ({ x, w, v, b, g }: Record<string, Tensor>): Record<string, Tensor> => {
    const values = [x];
    for (const [kind, i, j] of picks) {
      // Norms then sum the gradients that they write, which layers take only where these are whole.
      const newest = values[values.length - 1];
      if (j % 3) newest.trace.columnSums.want(newest);
      const [p, q] = [values[i % values.length], values[j % values.length]];
      if (kind === 0) values.push(add({ a: p, b: q }, {}).y);
      if (kind === 1) values.push(gelu({ x: p }, {}).y);
      if (kind === 2) values.push(linear({ x: p, w, b, r: i % 2 ? q : null }, {}).y);
      if (kind === 3) values.push(mlp({ x: p, w1: w, b1: b, w2: v, b2: b, r: q }, {}).y);
      if (kind === 4) {
        const { y, s } = layernorm({ x: p, r: j % 2 ? q : null, w: g, b }, { eps: 0.1 });
        values.push(y, s);
      }
    }
    // The last value and some in the middle.
    return { last: values[values.length - 1], middle: values[values.length >> 1] };
  };
  return { inputs, forward };
}

test('random graphs with shared weights and values used many times', () => {
  for (let s = 0; s < 60; s++) {
    try {
      gradcheck(graph(random(base + s)), s % 2 ? 'cpu' : 'simt', base + s);
    } catch (error) {
      throw new Error(`${(error as Error).message}; SEED=${base}, graph ${s}`, { cause: error });
    }
  }
});

const variable = (name: string, ...shape: number[]): Variable =>
  new Variable(name, shape, new Slab(name, 'f32', numel(shape)), 0, true);

test('noGrad: values computed in it are constants', () => {
  const [w, only] = [variable('w', 3), variable('only', 3)];
  const t = new Trace(traits);
  const inside = t.noGrad(() => gelu({ x: add({ a: t.use(w), b: only }, {}).y }, {}).y);
  const loss = weighed(t, { y: add({ a: inside, b: w }, {}).y }, base) as Tensor;
  const grads = t.backward(loss);
  assert.equal([...grads.keys()], [w], 'a variable used only inside has no gradient');
  // Outside, w enters by a plain sum: its gradient is the upstream one, whatever the values.
  const [first, second] = [1, -5].map((value) => {
    const memory = new Map([w, only].map((v) => [v.slab, new Float64Array(3).fill(value)]));
    return runReference(t, { dw: grads.get(w) as Tensor }, {}, memory).dw;
  });
  assert.equal(first, second);
  const thrower = (): never => {
    throw new Error('thrown inside');
  };
  assert.throws(() => t.noGrad(thrower), /thrown inside/);
  assert.is(
    t.backward(weighed(t, { y: gelu({ x: t.use(only) }, {}).y }, base) as Tensor).size,
    1,
    'recording goes on after a throw',
  );
});

test('backward scales by its second argument and leaves untouched variables out', () => {
  const [w, unused] = [variable('w', 5), variable('unused', 5)];
  const t = new Trace(traits);
  t.use(unused);
  const loss = weighed(t, { y: gelu({ x: t.use(w) }, {}).y }, base) as Tensor;
  const whole = t.backward(loss);
  const quarter = t.backward(loss, 0.25);
  assert.equal([...whole.keys()], [w]);
  const outputs = { whole: whole.get(w) as Tensor, quarter: quarter.get(w) as Tensor };
  const run = runReference(t, outputs, {}, new Map([[w.slab, Float64Array.of(-2, -0.5, 0, 0.5, 2)]]));
  assert.equal(
    Array.from(run.quarter),
    Array.from(run.whole, (v) => v / 4),
  );
});

/** A wrong call, and what its error must say: `op: rule, got shapes`. */
const WRONG: Record<string, [(t: Trace) => unknown, RegExp]> = {
  'linear width': [
    (t) => linear({ x: f(t, 2, 5), w: f(t, 3, 4), b: f(t, 3), r: null }, {}),
    /^linear: .*\(2, 5\).*\(3, 4\)/,
  ],
  'linear bias': [
    (t) => linear({ x: f(t, 2, 4), w: f(t, 3, 4), b: f(t, 4), r: null }, {}),
    /^linear: b must be \(3\), got \(4\)/,
  ],
  'linear residual': [
    (t) => linear({ x: f(t, 2, 4), w: f(t, 3, 4), b: f(t, 3), r: f(t, 3, 2) }, {}),
    /^linear: r .*\(2, 3\), got \(3, 2\)/,
  ],
  'mlp hidden': [
    (t) => mlp({ x: f(t, 2, 4), w1: f(t, 6, 4), b1: f(t, 6), w2: f(t, 4, 5), b2: f(t, 4), r: null }, {}),
    /^mlp: .*\(2, 4\).*\(6, 4\) and \(4, 5\)/,
  ],
  'mlp residual': [
    (t) => mlp({ x: f(t, 2, 4), w1: f(t, 6, 4), b1: f(t, 6), w2: f(t, 4, 6), b2: f(t, 4), r: f(t, 4, 2) }, {}),
    /^mlp: r .*\(2, 4\), got \(4, 2\)/,
  ],
  'attention head': [
    (t) => attention({ qkv: f(t, 2, 3, 30) }, { heads: 2 }),
    /^attention: .*multiple of 4.*\(2, 3, 30\)/,
  ],
  'attention rank': [(t) => attention({ qkv: f(t, 2, 12) }, { heads: 1 }), /^attention: .*\(2, 12\)/],
  'layernorm weight': [
    (t) => layernorm({ x: f(t, 2, 4), r: null, w: f(t, 5), b: f(t, 4) }, { eps: 1 }),
    /^layernorm: w must be \(4\), got \(5\)/,
  ],
  'layernorm residual': [
    (t) => layernorm({ x: f(t, 2, 4), r: f(t, 4, 2), w: f(t, 4), b: f(t, 4) }, { eps: 1 }),
    /^layernorm: r .*\(4, 2\)/,
  ],
  'embed positions': [
    (t) =>
      embed({ emb: f(t, 2, 3, 3), pos: f(t, 5, 8), cls: f(t, 3), ids_keep: u(t, 2, 3), ids_restore: u(t, 2, 7) }, {}),
    /^embed: .*\(2, 3, 3\), \(5, 8\), \(2, 7\)/,
  ],
  'embed too many': [
    (t) =>
      embed({ emb: f(t, 2, 9, 4), pos: f(t, 8, 4), cls: f(t, 4), ids_keep: u(t, 2, 9), ids_restore: u(t, 2, 7) }, {}),
    /^embed: .*\(2, 9, 4\)/,
  ],
  'restore order': [
    (t) =>
      restore(
        { y: f(t, 2, 3, 3), mask_token: f(t, 3), pos: f(t, 5, 3), ids_shuffle: u(t, 2, 3), ids_restore: u(t, 2, 4) },
        {},
      ),
    /^restore: .*\(2, 3, 3\), \(5, 3\), \(2, 3\)/,
  ],
  'patchify side': [
    (t) => patchify({ img: f(t, 1, 3, 8, 10), ids: null }, { patch_size: 4, order: 0 }),
    /^patchify: .*4.*\(1, 3, 8, 10\)/,
  ],
  'patchify batch': [
    (t) => patchify({ img: f(t, 2, 3, 8, 8), ids: u(t, 1, 2) }, { patch_size: 4, order: 0 }),
    /ids must be \(2, 2\), got \(1, 2\)/,
  ],
  'loss side': [
    (t) =>
      maskedMse({ pred: f(t, 1, 3, 4), img: f(t, 1, 1, 3, 4), mask: f(t, 1, 3) }, { patch_size: 2, normPix: true }),
    /^maskedMse: .*\(1, 3, 4\).*\(1, 3\).*\(1, 1, 3, 4\).*2/,
  ],
  'masking keep': [(t) => randomMasking(f(t, 2, 4), 5), /^randomMasking: keep .*5 and \(2, 4\)/],
  'masking part': [(t) => randomMasking(f(t, 2, 4), 1.5), /^randomMasking: keep .*1\.5/],
  'take row': [(t) => take({ x: f(t, 2, 3, 4) }, { rows: [0, 3] }), /^take: .*0\.\.2, got 3/],
  'take twice': [(t) => take({ x: f(t, 2, 3, 4) }, { rows: [1, 1] }), /^take: .*distinct/],
  'take rank': [(t) => take({ x: f(t, 2, 4) }, { rows: [0] }), /^take: .*\(2, 4\)/],
  'dropout ids': [
    (t) => dropout({ x: f(t, 2, 4), ids: u(t, 3), clock: u(t, 2) }, { rate: 0.5, seed: 1, stream: 1 }),
    /ids must be \(2\), got \(3\)/,
  ],
  'dropout rate': [
    (t) => dropout({ x: f(t, 2, 4), ids: u(t, 2), clock: u(t, 2) }, { rate: 1, seed: 1, stream: 1 }),
    /^dropout: rate .*got 1/,
  ],
  'dropPath rate': [
    (t) => dropPath({ x: f(t, 2, 4), r: f(t, 2, 4), ids: u(t, 2), clock: u(t, 2) }, { rate: 1, seed: 1, stream: 1 }),
    /^dropPath: rate .*got 1/,
  ],
  'dropPath residual': [
    (t) => dropPath({ x: f(t, 2, 4), r: f(t, 2, 3), ids: u(t, 2), clock: u(t, 2) }, { rate: 0.5, seed: 1, stream: 1 }),
    /^dropPath: .*\(2, 4\) and \(2, 3\)/,
  ],
  'pool patches': [(t) => pool({ x: f(t, 2, 1, 4) }, {}), /^pool: .*\(2, 1, 4\)/],
  'batchNorm row': [
    (t) => batchNorm({ x: f(t, 1, 3), running_mean: f(t, 3), running_var: f(t, 3) }, BATCH_NORM),
    /^batchNorm: one row/,
  ],
  'batchNorm columns': [
    (t) => batchNorm({ x: f(t, 4, 3), running_mean: f(t, 3), running_var: f(t, 4) }, BATCH_NORM),
    /^batchNorm: .*\(4, 3\), \(3\), \(4\)/,
  ],
  'crossEntropy targets': [
    (t) => crossEntropy({ logits: f(t, 4, 3), targets: f(t, 3, 4) }, {}),
    /^crossEntropy: .*\(4, 3\) and \(3, 4\)/,
  ],
  'classTargets smoothing': [
    (t) => classTargets({ labels: t.input('x', [2], 'i32') }, { classes: 3, smoothing: 1 }),
    /^classTargets: smoothing .*got 1/,
  ],
  'classTargets partner': [
    (t) => classTargets({ labels: t.input('x', [2], 'i32'), lambda: f(t, 1) }, { classes: 3 }),
    /^classTargets: partner and lambda .*together/,
  ],
  'add shapes': [
    (t) => add({ a: f(t, 2, 3), b: f(t, 3, 2) }, {}),
    /^add: shapes must match, got \(2, 3\) and \(3, 2\)/,
  ],
  'add dtype': [(t) => add({ a: u(t, 2), b: u(t, 2) }, {}), /must be f32, got u32/],
  reshape: [(t) => f(t, 2, 3).reshape(5), /^reshape: \(2, 3\) has 6 elements, \(5\) has 5/],
  'empty input': [(t) => t.input('img', [0, 3], 'f32'), /^trace: input img: .*\(0, 3\)/],
  'another trace': [(t) => add({ a: f(t, 2), b: f(new Trace(traits), 2) }, {}), /^trace: a tensor of another trace/],
  'no tensor': [() => gelu({ x: variable('x', 2) }, {}), /^gelu: at least one input must be a tensor/],
  'loss size': [(t) => t.backward(f(t, 2)), /^backward: loss must have one element, got \(2\)/],
  'store size': [(t) => t.store(variable('v', 3), f(t, 2)), /^store: v is \(3\), got \(2\)/],
};
const BATCH_NORM = { eps: 1e-6, momentum: 0.1, training: true };
const f = (t: Trace, ...shape: number[]): Tensor => t.input('x', shape, 'f32');
const u = (t: Trace, ...shape: number[]): Tensor => t.input('x', shape, 'u32');

for (const [name, [call, words]] of Object.entries(WRONG)) {
  test(`error: ${name}`, () => {
    const t = new Trace(traits);
    try {
      call(t);
    } catch (error) {
      assert.instance(error, TesseraeError);
      assert.match((error as Error).message, words);
      assert.is(t.calls.length, 0, 'a refused call is not recorded');
      return;
    }
    assert.unreachable('nothing was refused');
  });
}

test('error: one dispatch reads and writes a buffer', () => {
  const slab = new Slab('both', 'f32', 128);
  const [a, b] = [new Variable('a', [64], slab, 0, false), new Variable('b', [64], slab, 64, false)];
  const t = new Trace(traits);
  t.run(elementwiseAxpy, { x: t.use(a), y: t.use(b) }, { n: 64, s: 1 });
  assert.throws(
    () => makePlan(t, {}, traits),
    /^.*elementwise\.axpy: x must not lie in the buffer that y is written to/,
  );
});

test.run();
