// Masks that the model guides: at guidance 1 the patches of the highest score go, at 0 those that chance says, and the scores are what they are
// said to be: the error of a patch rebuilt from others, and what the cls token attends to.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import type { Tensor } from '../engine/tensor.ts';
import * as attention from '../kernels/attention/attention.ref.ts';
import { patchesOf } from '../mae/model/config.ts';
import { clsAttention, guidedNoise, patchLosses } from '../mae/model/guided.ts';
import { GUIDES } from '../mae/model/masks.ts';
import { MaskedAutoencoder } from '../mae/model/model.ts';
import { TINY, tinyBatch } from './support/tiny.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const device = await openDawn({ raiseLimits: false });
test.after(() => device.dispose());
const patches = patchesOf(TINY);
const keep = patches >> 1;

/** Numbers of an image's patches, the highest value first. */
const highest = (values: ArrayLike<number>, image: number): number[] => {
  const own = Array.from({ length: patches }, (_, l) => values[image * patches + l]);
  return [...own.keys()].sort((a, b) => own[b] - own[a]);
};

for (const objective of ['mae', 'simmim'] as const) {
  test(`${objective}: what has the highest score goes at guidance 1, what chance says at 0 (seed ${seed})`, async () => {
    using engine = new Engine(device);
    const model = new MaskedAutoencoder(engine, { ...TINY, objective }, seed);
    const { img, noise } = tinyBatch(5, seed, TINY);
    const program = engine.compile({ img: 'f32', noise: 'f32' }, (x) => {
      const found: Record<string, Tensor> = {
        loss: patchLosses(model, x.img, x.noise),
        attention: clsAttention(model, x.img),
        plain: model.forward(x.img, x.noise, keep).mask,
      };
      for (const guide of GUIDES)
        for (const guidance of [0, 1])
          found[`${guide} ${guidance}`] = model.forward(
            x.img,
            guidedNoise(model, x.img, x.noise, guide, guidance),
            keep,
          ).mask;
      return found;
    });
    const found = await (await program.run({ img, noise })).read();
    for (const guide of GUIDES) {
      assert.equal([...found[`${guide} 0`]], [...found.plain], guide);
      for (let image = 0; image < 5; image++) {
        const gone = highest(found[`${guide} 1`], image).slice(0, patches - keep);
        assert.equal(
          gone.sort(),
          highest(found[guide], image)
            .slice(0, patches - keep)
            .sort(),
          `${guide}, image ${image}`,
        );
      }
    }
  });
}

test(`a patch's loss is that of the pass in which it was removed (seed ${seed})`, async () => {
  using engine = new Engine(device);
  const model = new MaskedAutoencoder(engine, TINY, seed);
  const { img, noise } = tinyBatch(1, seed, TINY);
  const score = engine.compile({ img: 'f32', noise: 'f32' }, (x) => ({ losses: patchLosses(model, x.img, x.noise) }));
  const losses = [...(await (await score.run({ img, noise })).read()).losses];
  const forward = engine.compile({ img: 'f32', noise: 'f32' }, (x) => {
    const { loss, mask } = model.forward(x.img, x.noise, keep);
    return { loss, mask };
  });
  const one = await (await forward.run({ img, noise })).read();
  const turned = { data: Float32Array.from(one.mask, (m) => -m), shape: noise.shape };
  const other = await (await forward.run({ img, noise: turned })).read();
  for (const { loss, mask } of [one, other]) {
    const own = losses.filter((_, l) => mask[l] === 1);
    const mean = own.reduce((a, b) => a + b, 0) / own.length;
    assert.ok(Math.abs(mean - loss[0]) < 1e-5 * loss[0], `${mean} ${loss[0]}`);
  }
});

test(`attention: the softmax of the last block's cls row, mean over heads (seed ${seed})`, async () => {
  using engine = new Engine(device);
  const model = new MaskedAutoencoder(engine, { ...TINY, depth: 1 }, seed);
  const { img } = tinyBatch(2, seed, TINY);
  const program = engine.compile({ img: 'f32' }, (x) => {
    let tokens: Tensor | undefined;
    model.encodeAll(x.img, { watch: (name, value) => name === 'enc_in' && (tokens = value) });
    return { score: clsAttention(model, x.img), tokens: tokens as Tensor };
  });
  const { score, tokens } = await (await program.run({ img })).read();
  const { embed_dim: D, num_heads: heads, ln_eps } = TINY;
  const weights = await model.parameters.read();
  const of = (name: string): Float32Array => weights.get(`blocks.0.${name}`) as Float32Array;
  const count = tokens.length / D;
  const qkv = new Float64Array(count * 3 * D);
  for (let row = 0; row < count; row++) {
    const x = [...tokens.subarray(row * D, (row + 1) * D)];
    const mean = x.reduce((a, b) => a + b) / D;
    const deviation = Math.sqrt(x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / D + ln_eps);
    const y = x.map((v, d) => ((v - mean) / deviation) * of('norm1.weight')[d] + of('norm1.bias')[d]);
    for (let o = 0; o < 3 * D; o++)
      qkv[row * 3 * D + o] =
        of('attn.qkv.bias')[o] + y.reduce((sum, v, d) => sum + v * of('attn.qkv.weight')[o * D + d], 0);
  }
  const dim = D / heads;
  const sizes = { batch: 2, tokens: 1 + patches, heads, dim, scale: dim ** -0.5 };
  const lse = new Float64Array(2 * heads * (1 + patches));
  attention.forward({ qkv, o: new Float64Array(count * D), lse }, sizes);
  const want = new Float64Array(2 * patches);
  attention.saliency({ qkv, lse, saliency: want }, sizes);
  for (const [i, value] of want.entries()) assert.ok(Math.abs(score[i] - value) < 1e-5, `${i}: ${score[i]} ${value}`);
});
test.run();
