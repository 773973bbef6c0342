// --init: weights of one model for another. What is taken, changed or begins anew is said of every tensor, and is so.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { adaptedText, adaptWeights, otherChannels } from '../../mae/model/adapt.ts';
import { configure, type MaeConfig, parameterSpecs } from '../../mae/model/config.ts';
import { initialWeights } from '../../mae/model/init.ts';
import { sinCosPositions } from '../../mae/model/posembed.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const base: Partial<MaeConfig> = {
  img_size: [8, 8],
  embed_dim: 16,
  depth: 2,
  num_heads: 2,
  decoder_embed_dim: 16,
  decoder_depth: 1,
  decoder_num_heads: 2,
};
const of = (changes: Partial<MaeConfig> = {}): MaeConfig =>
  configure('mae_vit_nano_patch4_32', { ...base, ...changes });

/** Weights of `from` for `to`, whose own beginning has another seed. */
function adapt(to: MaeConfig, from: MaeConfig) {
  const source = { config: from, weights: initialWeights(from, seed) };
  const fresh = initialWeights(to, seed + 1);
  const made = adaptWeights(to, parameterSpecs(to), fresh, source);
  const names = [...made.taken, ...made.changed.keys(), ...made.fresh];
  assert.equal(
    names.sort(),
    parameterSpecs(to)
      .map(({ name }) => name)
      .sort(),
    'every tensor is told of once',
  );
  for (const { name, shape } of parameterSpecs(to))
    assert.is(
      made.weights.get(name)?.length,
      shape.reduce((a, b) => a * b, 1),
      name,
    );
  for (const name of made.taken) assert.equal(made.weights.get(name), source.weights.get(name));
  for (const name of made.fresh) assert.equal(made.weights.get(name), fresh.get(name));
  return { ...made, source };
}
const PATCH = 'patch_embed.proj.weight';

test('the same sizes: all is taken but the fixed positions, which are the same', () => {
  const { fresh, changed, weights, source } = adapt(of(), of());
  assert.equal([...fresh], ['pos_embed', 'decoder_pos_embed']);
  for (const name of fresh) assert.equal(weights.get(name), source.weights.get(name));
  assert.is(changed.size, 0);
});

test('another grid: fixed positions are computed for it, learned ones interpolated, even where as many', () => {
  const wide = of({ img_size: [8, 12] });
  assert.equal(adapt(wide, of()).weights.get('pos_embed'), sinCosPositions(16, [2, 3]));
  const learned = { pos_embed: 'learned' as const };
  const { changed, weights, source } = adapt(
    of({ ...learned, img_size: [12, 8] }),
    of({ ...learned, img_size: [8, 12] }),
  );
  assert.equal([...changed.keys()], ['pos_embed', 'decoder_pos_embed']);
  assert.match(changed.get('pos_embed') ?? '', '2 x 3 positions interpolated to 3 x 2');
  assert.equal(weights.get('pos_embed')?.subarray(0, 16), source.weights.get('pos_embed')?.subarray(0, 16), 'cls');
  assert.not.equal(weights.get('pos_embed'), source.weights.get('pos_embed'));
});

test('other channels: the sum for one, else repeated and scaled; what predicts pixels begins anew', () => {
  for (const [before, now] of [
    [3, 1],
    [1, 3],
    [3, 5],
    [4, 2],
  ]) {
    const { changed, weights, source, fresh } = adapt(of({ in_chans: now }), of({ in_chans: before }));
    assert.equal([...changed.keys()], [PATCH]);
    assert.ok(fresh.includes('decoder_pred.weight') && fresh.includes('decoder_pred.bias'));
    const [w, v] = [weights.get(PATCH), source.weights.get(PATCH)] as Float32Array[];
    for (const [d, i] of [
      [0, 0],
      [15, 15],
      [7, 3],
    ]) {
      for (let c = 0; c < now; c++) {
        const want =
          now === 1
            ? Array.from({ length: before }, (_, k) => v[(d * before + k) * 16 + i]).reduce((a, b) => a + b)
            : (v[(d * before + (c % before)) * 16 + i] * before) / now;
        assert.ok(Math.abs(w[(d * now + c) * 16 + i] - want) < 1e-6);
      }
    }
  }
  // An image of equal channels is embedded as before.
  const own = Float32Array.of(1, 2, 3);
  const sum = (x: Float32Array) => x.reduce((a, b) => a + b);
  for (const C of [1, 3, 6, 9]) assert.ok(Math.abs(sum(otherChannels(own, [1, C, 1, 1], 3)) - 6) < 1e-5);
});

test('another decoder begins anew as a whole, also where shapes agree by chance', () => {
  for (const changes of [
    { decoder_depth: 2 },
    { decoder_embed_dim: 8 },
    { decoder_num_heads: 1 },
    { objective: 'simmim' as const },
  ]) {
    const { fresh, taken } = adapt(of(changes), of());
    assert.not(
      taken.some((name) => name.startsWith('decoder') || name === 'mask_token'),
      `${taken}`,
    );
    assert.ok(fresh.includes('mask_token'), 'of SimMIM it has the size of the other here');
    assert.ok(taken.includes('cls_token') && taken.includes('blocks.1.mlp.fc2.bias'));
  }
});

test('another encoder is refused, with all sizes that differ; equal shapes do not hide other heads', () => {
  for (const [changes, said] of [
    [{ num_heads: 4 }, /num_heads 2 \(this run: 4\)/],
    [{ depth: 3, embed_dim: 24 }, /embed_dim 16 \(this run: 24\), depth 2 \(this run: 3\)/],
    [{ patch_size: 2 }, /patch_size 4 \(this run: 2\)/],
  ] as const)
    assert.throws(() => adapt(of(changes), of()), said);
});

test('one line tells it', () => {
  const line = adaptedText(adapt(of({ in_chans: 1, decoder_depth: 2 }), of()));
  assert.match(
    line,
    /^\d+ tensors taken; changed: patch_embed\.proj\.weight \(3 channels made 1\); not from it: pos_embed, mask_token, .*decoder_blocks \(24\)/,
  );
});

test.run();
