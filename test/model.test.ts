// Whole masked autoencoders of random odd sizes on Dawn beside the same trace in f64: loss within 1e-5, every gradient within
// 1e-4; what a prediction of zeros scores; masks; dropout. `CONFIGS=200 SEED=1 node … test/model.test.ts` tries more.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Random, random } from '../kernels/random/random.ts';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { elementwiseDropout } from '../kernels/elementwise/elementwise.ts';
import { maskedMse } from '../engine/ops/masked-mse.ts';
import { type ReferenceMemory, runReference } from '../engine/reference.ts';
import { type HostTensor, numel, type Tensor } from '../engine/tensor.ts';
import { checked, lenKeep, type MaeConfig, patchesOf, patchValues } from '../mae/model/config.ts';
import { MaskedAutoencoder } from '../mae/model/model.ts';
import { STREAM } from '../mae/data/streams.ts';
import { relative } from './support/relative.ts';
import { shaken, slice, TINY, tinyBatch } from './support/tiny.ts';

const CONFIGS = Number(process.env.CONFIGS ?? 6);
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const simt = await openDawn({ profile: 'simt', raiseLimits: false });
const cpu = await openDawn({ profile: 'cpu', raiseLimits: false });

/** Any sizes at all: odd patches, images that are not square, one to five channels. */
function draw(rng: Random): MaeConfig {
  const pick = <T>(...choices: T[]): T => choices[rng.below(choices.length)];
  const patch_size = pick(1, 2, 3, 5);
  const stack = () => ({ heads: pick(1, 2, 3), head: pick(4, 8, 20) });
  const [encoder, decoder] = [stack(), stack()];
  return checked({
    img_size: [patch_size * (1 + rng.below(4)), patch_size * (2 + rng.below(4))],
    patch_size,
    in_chans: pick(1, 3, 5),
    embed_dim: encoder.heads * encoder.head,
    depth: pick(1, 2),
    num_heads: encoder.heads,
    decoder_embed_dim: decoder.heads * decoder.head,
    decoder_depth: 1,
    decoder_num_heads: decoder.heads,
    mlp_ratio: pick(2, 4),
    norm_pix_loss: pick(true, false),
    ln_eps: 1e-6,
    dropout: 0,
  });
}

/** Runs a model's step on the device and in f64, from the same weights and batch. */
async function both(
  engine: Engine,
  config: MaeConfig,
  weights: Map<string, Float32Array>,
  keep: number,
  batch: number,
  at: number,
) {
  const model = new MaskedAutoencoder(engine, config, weights);
  const given = tinyBatch(batch, at, config);
  const program = engine.compile({ img: 'f32', noise: 'f32' }, ({ img, noise }, t) => {
    const { loss, pred, latent } = model.forward(img, noise, keep);
    const grads = [...t.backward(loss)].map(([v, d]): [string, Tensor] => [`d.${v.name}`, d]);
    return { loss, pred, latent, ...Object.fromEntries(grads) } as Record<string, Tensor>;
  });
  const got = await (await program.run(given)).read();
  const memory: ReferenceMemory = new Map(model.parameters.slabs.map((s) => [s, new Float64Array(s.length)]));
  for (const [name, v] of model.parameters.variables) {
    (memory.get(v.slab) as Float64Array).set(weights.get(name) as Float32Array, v.offset);
  }
  const { trace, outputs } = program.trace({ img: given.img.shape, noise: given.noise.shape });
  const host = { img: given.img.data, noise: given.noise.data };
  return { got, want: runReference(trace, outputs, host, memory), names: Object.keys(outputs) };
}

for (let i = 0; i < CONFIGS; i++) {
  const rng = random(seed, 10 + i);
  const config = draw(rng);
  const patches = patchesOf(config);
  // All but one masked, none masked, half masked, three quarters masked.
  const keep = [1, patches, Math.ceil(patches / 2), lenKeep(Math.max(4, patches), 0.75)][i % 4];
  const batch = 1 + rng.below(3);
  const device = i % 2 ? cpu : simt;
  test(`model ${i}: ${keep} of ${patches} patches kept, batch ${batch}, on ${device.traits.profile}`, async () => {
    using engine = new Engine(device);
    const { got, want, names } = await both(
      engine,
      config,
      shaken(config, rng),
      Math.min(keep, patches),
      batch,
      seed + i,
    );
    const where = `${JSON.stringify(config)}; SEED=${seed}`;
    assert.ok(names.length > 30);
    assert.ok(relative(got.loss, want.loss) < 1e-5, `loss ${got.loss[0]}, in f64 ${want.loss[0]}; ${where}`);
    if (keep >= patches) assert.is(got.loss[0], 0, 'nothing is masked, so nothing is scored');
    else assert.ok(got.loss[0] > 0);
    for (const name of names) {
      const off = relative(got[name], want[name]);
      assert.ok(off < 1e-4, `${name}: relative error ${off}; ${where}`);
    }
  });
}

const filled = (shape: number[], at: (i: number) => number): HostTensor => ({
  shape,
  data: Float32Array.from({ length: numel(shape) }, (_, i) => at(i)),
});

test('a prediction of zeros scores (n - 1) / n of the normalised target: .9987 and .9167', async () => {
  for (const device of [simt, cpu]) {
    using engine = new Engine(device);
    const rng = random(seed, 5);
    for (const [patch_size, chans, down, across] of [
      [16, 3, 2, 3],
      [2, 3, 5, 4],
      [3, 1, 2, 2],
    ]) {
      const n = patch_size ** 2 * chans;
      const img = filled([2, chans, down * patch_size, across * patch_size], () => 3 * rng.normal() + 1);
      const pred = filled([2, down * across, n], () => 0);
      // The score does not depend on which patches were removed.
      const mask = filled([2, down * across], (i) => Number(i === 0 || rng.uniform() < 0.5));
      const program = engine.compile({ pred: 'f32', img: 'f32', mask: 'f32' }, (x) =>
        maskedMse(x, { patch_size, normPix: true }),
      );
      const { loss } = await (await program.run({ pred, img, mask })).read();
      assert.ok(Math.abs(loss[0] - (n - 1) / n) < 1e-5, `${loss[0]} for ${n} values a patch`);
    }
  }
});

test('and so through the whole model, when its last layer gives 0', async () => {
  using engine = new Engine(simt);
  const config = checked({ ...TINY, patch_size: 2, norm_pix_loss: true });
  const weights = shaken(config, random(seed, 6));
  for (const name of ['decoder_pred.weight', 'decoder_pred.bias']) weights.get(name)?.fill(0);
  const model = new MaskedAutoencoder(engine, config, weights);
  const program = engine.compile({ img: 'f32', noise: 'f32' }, ({ img, noise }) => {
    const { loss, pred } = model.forward(img, noise, 6);
    return { loss, pred };
  });
  const { loss, pred } = await (await program.run(tinyBatch(3, seed, config))).read();
  assert.ok(pred.every((x) => x === 0));
  assert.ok(Math.abs(loss[0] - 11 / 12) < 1e-5, `${loss[0]}`);
});

test('masks: the least noise stays, and images of a batch do not touch each other', async () => {
  using engine = new Engine(cpu);
  const model = new MaskedAutoencoder(engine, TINY, shaken(TINY, random(seed, 7)));
  const program = engine.compile({ img: 'f32', noise: 'f32' }, ({ img, noise }) => {
    const { pred, mask, ids_keep, ids_restore, ids_shuffle, latent } = model.forward(img, noise, 2);
    return { pred, mask, ids_keep, ids_restore, ids_shuffle, latent };
  });
  const batch = tinyBatch(3, seed);
  const patches = patchesOf(TINY);
  const out = await (await program.run(batch)).read();
  for (let b = 0; b < 3; b++) {
    const noise = Array.from(batch.noise.data.slice(b * patches, (b + 1) * patches));
    const order = noise.map((_, l) => l).sort((i, j) => noise[i] - noise[j] || i - j);
    const part = (name: 'mask' | 'ids_restore' | 'ids_shuffle' | 'ids_keep', n: number) =>
      Array.from(out[name].slice(b * n, (b + 1) * n));
    assert.equal(part('ids_shuffle', patches), order);
    assert.equal(
      part('ids_restore', patches),
      order.map((_, l) => order.indexOf(l)),
    );
    assert.equal(part('ids_keep', 2), order.slice(0, 2));
    assert.equal(
      part('mask', patches),
      order.map((_, l) => Number(order.indexOf(l) >= 2)),
    );
  }
  const alone = await (await program.run(slice(batch, 1, 2))).read();
  const width = patches * patchValues(TINY);
  assert.ok(relative(alone.pred, out.pred.slice(width, 2 * width)) < 1e-6);
  assert.equal(new Set(out.mask).size, 2);
});

test('dropout: a sample is thinned alike in any batch, otherwise in another epoch, and not at all without a key', async () => {
  using engine = new Engine(simt);
  const config = checked({ ...TINY, dropout: 0.3 });
  const weights = shaken(config, random(seed, 8));
  const model = new MaskedAutoencoder(engine, config, weights);
  const program = engine.compile(
    { img: 'f32', noise: 'f32', ids: 'u32', clock: 'u32' },
    ({ img, noise, ids, clock }) => {
      const { pred } = model.forward(img, noise, 3, { dropout: { ids, clock, seed: 11 } });
      return { pred };
    },
  );
  const plain = (of: MaskedAutoencoder) =>
    engine.compile({ img: 'f32', noise: 'f32' }, ({ img, noise }) => ({ pred: of.forward(img, noise, 3).pred }));
  const batch = tinyBatch(4, seed);
  const words = (...data: number[]): HostTensor => ({ data: Uint32Array.from(data), shape: [data.length] });
  const run = async (from: number, to: number, clock: HostTensor): Promise<ArrayLike<number>> => {
    const ids = words(...[7, 2 ** 32 - 1, 0, 12].slice(from, to));
    return (await (await program.run({ ...slice(batch, from, to), ids, clock })).read()).pred;
  };
  const whole = await run(0, 4, words(3, 9));
  const width = whole.length / 4;
  const part = (from: number, to: number) => Array.from(whole).slice(from * width, to * width);
  assert.ok(relative(await run(0, 1, words(3, 9)), part(0, 1)) < 1e-6);
  assert.ok(relative(await run(1, 4, words(3, 9)), part(1, 4)) < 1e-6);
  assert.ok(relative(await run(0, 4, words(4, 9)), part(0, 4)) > 0.05, 'another epoch drops others');
  const bare = (await (await plain(model).run(batch)).read()).pred;
  assert.ok(relative(bare, whole) > 0.05, 'something is dropped');
  const without = new MaskedAutoencoder(engine, { ...config, dropout: 0 }, weights);
  assert.equal((await (await plain(without).run(batch)).read()).pred, bare);
  // Two layers under one stream would drop alike, and a layer under the masks' stream would drop as they mask.
  const shapes = { img: batch.img.shape, noise: batch.noise.shape, ids: [4], clock: [2] };
  const calls = program.trace(shapes).trace.calls.filter((c) => (c.kernel as unknown) === elementwiseDropout);
  const streams = calls.map((c) => c.problem.stream as number);
  assert.is(new Set(streams).size, 2 * (TINY.depth + TINY.decoder_depth));
  const others = Object.values(STREAM).filter((s) => s !== STREAM.dropout);
  assert.ok(
    streams.every((s) => s >= STREAM.dropout && !others.includes(s as never)),
    `streams ${streams}`,
  );
});

test('nothing went wrong unseen', () => {
  for (const device of [simt, cpu]) {
    device.check();
    device.dispose();
  }
});
test.run();
