// What a trace records for f16: the same mathematics as for f32, halves where they are meant to be, none where rows do not
// fit. And halves on the host. No GPU.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { fromHalves, throughHalves, toHalves } from '../../engine/half.ts';
import { attention } from '../../engine/ops/attention.ts';
import { batchNorm } from '../../engine/ops/batch-norm.ts';
import { crossEntropy } from '../../engine/ops/cross-entropy.ts';
import { dropPath } from '../../engine/ops/drop-path.ts';
import { add, dropout, gelu } from '../../engine/ops/elementwise.ts';
import { layernorm } from '../../engine/ops/layernorm.ts';
import { linear } from '../../engine/ops/linear.ts';
import { mlp } from '../../engine/ops/mlp.ts';
import { pool } from '../../engine/ops/pool.ts';
import { type ReferenceMemory, runReference } from '../../engine/reference.ts';
import { Slab, type Tensor, Variable } from '../../engine/tensor.ts';
import { type Precision, Trace } from '../../engine/trace.ts';
import { traitsOf, weighed } from '../../engine/testing/gradient.ts';

const base = Number(process.env.SEED ?? Date.now() % 2 ** 31);

/** A pre-norm block of width `dim` with an MLP of width `hidden`, all its weights in one slab. */
function block(precision: Precision, dim: number, hidden: number, checkpoint: boolean) {
  const sizes: Record<string, number[]> = {
    x: [2, 5, dim],
    g: [dim],
    b: [dim],
    wq: [3 * dim, dim],
    bq: [3 * dim],
    wp: [dim, dim],
    w1: [hidden, dim],
    b1: [hidden],
    w2: [dim, hidden],
  };
  const slab = new Slab('weights', 'f32', 128 * 2 * Object.keys(sizes).length);
  const variables = Object.entries(sizes).map(([name, shape], i) => new Variable(name, shape, slab, 256 * i, true));
  const t = new Trace(traitsOf('simt'), precision);
  const v = Object.fromEntries(variables.map((one) => [one.name, one]));
  const heads = 2;
  const run = (x: Tensor): Tensor => {
    const first = layernorm({ x, r: null, w: v.g, b: v.b }, { eps: 0.1, half: true });
    const { y: qkv } = linear({ x: first.y, w: v.wq, b: v.bq, r: null }, { half: true });
    const { o } = attention({ qkv }, { heads });
    const { y } = linear({ x: o, w: v.wp, b: v.b, r: first.s }, {});
    const second = layernorm({ x: y, r: null, w: v.g, b: v.b }, { eps: 0.1, half: true });
    return mlp({ x: second.y, w1: v.w1, b1: v.b1, w2: v.w2, b2: v.b, r: second.s }, {}).y;
  };
  const x = t.use(v.x);
  const y = checkpoint ? t.checkpoint(x, run) : run(x);
  const grads = t.backward(weighed(t, { y }, base) as Tensor);
  const outputs = { y, ...Object.fromEntries([...grads].map(([one, grad]) => [`d.${one.name}`, grad])) };
  return { t, slab, outputs: outputs as Record<string, Tensor> };
}

for (const [dim, hidden] of [
  [8, 16],
  [8, 10],
]) {
  for (const checkpoint of [false, true]) {
    test(`width ${dim}, hidden ${hidden}${checkpoint ? ', computed again' : ''}: f16 records f32's mathematics`, () => {
      const rng = random(base);
      const made = (['f32', 'f16'] as const).map((precision) => block(precision, dim, hidden, checkpoint));
      const numbers = Float64Array.from({ length: made[0].slab.length }, rng.normal);
      const [want, got] = made.map(({ t, slab, outputs }) => {
        const memory: ReferenceMemory = new Map([[slab, numbers.slice()]]);
        return runReference(t, outputs, {}, memory);
      });
      assert.equal(Object.keys(got).length, 10);
      for (const [name, values] of Object.entries(want)) {
        values.forEach((value, i) => {
          assert.ok(Math.abs(got[name][i] - value) <= 1e-9 * (1 + Math.abs(value)), `${name}[${i}]`);
        });
      }
      const { t, outputs } = made[1];
      for (const [name, tensor] of Object.entries(outputs)) assert.is(tensor.dtype, 'f32', name);
      const kinds = new Map<string, Set<string>>();
      for (const { kernel, bindings } of t.calls) {
        for (const [name, tensor] of Object.entries(bindings)) {
          const key = `${kernel.name} ${name}`;
          if (tensor) kinds.set(key, (kinds.get(key) ?? new Set()).add(tensor.dtype));
        }
      }
      for (const key of [
        'layernorm.forward y',
        'attention.forward qkv',
        'attention.backward dqkv',
        'attention.delta dO',
      ])
        assert.equal([...(kinds.get(key) ?? [])], ['f16'], key);
      for (const key of [
        'layernorm.forward x',
        'layernorm.backward dx',
        'attention.forward lse',
        'layernorm.forward stat',
      ])
        assert.equal([...(kinds.get(key) ?? [])], ['f32'], key);
      assert.is(kinds.get('gemm u')?.has('f16'), hidden % 4 === 0);
      const copies = t.calls.filter((c) => c.writes.some((name) => c.bindings[name]?.storage.home?.kind === 'slab'));
      assert.is(copies.length, 1, 'all weights are copied by one dispatch');
      assert.ok(made[0].t.calls.every((c) => Object.values(c.bindings).every((b) => b?.dtype !== 'f16')));
    });
  }
}

/** A model of an embedder's own, in both precisions on the host: a linear layer (out, k), then what `rest` makes of it. */
function inBoth(out: number, k: number, rest: (t: Trace, y: Tensor) => Tensor) {
  const rng = random(base, 2);
  const slab = new Slab('weights', 'f32', 1024);
  const shapes: Record<string, number[]> = { x: [4, k], w: [out, k], b: [out], r: [4, out] };
  const variables = Object.entries(shapes).map(([name, shape], i) => new Variable(name, shape, slab, 256 * i, true));
  const [x, w, b, r] = variables;
  const numbers = Float64Array.from({ length: slab.length }, rng.normal);
  const run = (precision: Precision) => {
    const t = new Trace(traitsOf('simt'), precision);
    const { y } = linear({ x: t.use(x), w, b, r }, { half: true });
    const z = rest(t, y);
    const grads = t.backward(weighed(t, { z }, base) as Tensor);
    const outputs = { z, ...Object.fromEntries([...grads].map(([v, d]) => [`d.${v.name}`, d])) };
    for (const [name, one] of Object.entries(outputs)) assert.is(one.dtype, 'f32', name);
    const data = { ids: Uint32Array.of(3, 1, 4, 15), clock: Uint32Array.of(2, 7) };
    return { y, numbers: runReference(t, outputs, data, new Map([[slab, numbers.slice()]])) };
  };
  const [want, got] = [run('f32'), run('f16')];
  assert.equal(Object.keys(got.numbers), ['z', 'd.x', 'd.w', 'd.b', 'd.r']);
  const numbersOf: Readonly<Record<string, ArrayLike<number>>> = got.numbers;
  for (const [name, values] of Object.entries(want.numbers)) {
    values.forEach((value, i) => {
      assert.ok(Math.abs(numbersOf[name][i] - value) <= 1e-9 * (1 + Math.abs(value)), `${name}[${i}]`);
    });
  }
  return got.y.dtype;
}

for (const [out, k] of [
  [5, 3],
  [4, 3],
  [5, 4],
  [8, 10],
  [1, 1],
]) {
  test(`linear of ${out} x ${k}: no multiple of 4, so its weight is read as f32`, () => {
    assert.is(
      inBoth(out, k, (_, y) => gelu({ x: y }, {}).y),
      out % 4 ? 'f32' : 'f16',
    );
  });
}

test('ops of their own take what a linear layer stored as f16', () => {
  const made = { rate: 0.3, seed: 5, stream: 1 };
  const dropped = (t: Trace, x: Tensor): Tensor =>
    dropout({ x, ids: t.input('ids', [4], 'u32'), clock: t.input('clock', [2], 'u32') }, made).y;
  assert.is(
    inBoth(8, 12, (_, x) => gelu({ x }, {}).y),
    'f16',
  );
  assert.is(inBoth(8, 12, dropped), 'f16');
  const left = (t: Trace, x: Tensor): Tensor =>
    dropPath({ x, r: x, ids: t.input('ids', [4], 'u32'), clock: t.input('clock', [2], 'u32') }, made).y;
  assert.is(inBoth(8, 12, left), 'f16');
  assert.is(
    inBoth(8, 12, (_, x) => pool({ x: x.reshape(1, 4, 8) }, {}).y),
    'f16',
  );
  const normed = (t: Trace, x: Tensor): Tensor => {
    const of = (value: number) => t.constant(new Float32Array(8).fill(value), [8]);
    return batchNorm({ x, running_mean: of(0), running_var: of(1) }, { eps: 1e-6, momentum: 0, training: false }).y;
  };
  assert.is(inBoth(8, 12, normed), 'f16');
  const targets = Float32Array.from({ length: 32 }, (_, i) => Number(i % 9 === 0));
  assert.is(
    inBoth(8, 12, (t, logits) => crossEntropy({ logits, targets: t.constant(targets, [4, 8]) }, {}).loss),
    'f16',
  );
  // Both gradients of the same halves, summed.
  assert.is(
    inBoth(8, 12, (_, a) => add({ a, b: gelu({ x: a }, {}).y }, {}).y),
    'f16',
  );
});

test('halves: every one of them survives, ties go to even, what is too large becomes infinite', () => {
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const back = toHalves(fromHalves(all));
  all.forEach((half, i) => {
    const nan = (half & 0x7fff) > 0x7c00;
    assert.ok(nan ? (back[i] & 0x7fff) > 0x7c00 : back[i] === half, `${half} became ${back[i]}`);
  });
  const pairs: [number, number][] = [
    [1 + 2 ** -11, 1],
    [1 + 3 * 2 ** -11, 1 + 2 ** -9],
    [2 ** -25, 0],
    [1.5 * 2 ** -24, 2 ** -23],
    [-(2 ** -25) * 1.001, -(2 ** -24)],
    [65519.99, 65504],
    [65520, Number.POSITIVE_INFINITY],
    [2 ** -14 - 2 ** -25, 2 ** -14],
  ];
  for (const [value, want] of pairs) assert.is(throughHalves([value])[0], Math.fround(want), `${value}`);
  const rng = random(base);
  for (let i = 0; i < 2000; i++) {
    const value = Math.fround(rng.normal() * 2 ** (rng.below(30) - 18));
    const spacing = 2 ** (Math.max(-14, Math.floor(Math.log2(Math.abs(value)))) - 10);
    assert.ok(Math.abs(throughHalves([value])[0] - value) <= spacing / 2, `${value}`);
  }
});

test.run();
