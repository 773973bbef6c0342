// Initial weights and position embeddings against their definitions, and against independent ones where they are at hand.
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type RawTensor, toFloat32 } from '../../engine/rawtensor.ts';
import { parseSafetensors } from '../../engine/safetensors.ts';
import { configure, gridOf, parameterSpecs } from '../../mae/model/config.ts';
import { initialWeights } from '../../mae/model/init.ts';
import { sinCosPositions } from '../../mae/model/posembed.ts';
import { goldenCases } from '../support/golden.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const isDecoder = (name: string): boolean => name.startsWith('decoder') || name === 'mask_token';

/** Mean, standard deviation and the two ends. */
function moments(v: Float32Array): { mean: number; std: number; low: number; high: number } {
  let [sum, squares, low, high] = [0, 0, Infinity, -Infinity];
  for (const x of v) {
    sum += x;
    squares += x * x;
    low = Math.min(low, x);
    high = Math.max(high, x);
  }
  const mean = sum / v.length;
  return { mean, std: Math.sqrt(squares / v.length - mean * mean), low, high };
}

/** Within five standard errors of U(-bound, bound), filling it and never leaving it. */
function uniformWithin(name: string, v: Float32Array, bound: number): void {
  const { mean, std, low, high } = moments(v);
  const sigma = bound / Math.sqrt(3);
  assert.ok(high <= bound * (1 + 1e-6) && low >= -bound * (1 + 1e-6), `${name} leaves ±${bound}: ${low} to ${high}`);
  const gap = (16 / v.length) * 2 * bound;
  assert.ok(high > bound - gap && low < -bound + gap, `${name} does not fill ±${bound}: ${low} to ${high}`);
  assert.ok(Math.abs(mean) < (5 * sigma) / Math.sqrt(v.length), `${name}: mean ${mean}`);
  // The variance of a uniform sample's variance is (4 / 5) sigma^4 / n.
  assert.ok(
    Math.abs(std / sigma - 1) < (2.5 * Math.sqrt(0.8)) / Math.sqrt(v.length),
    `${name}: std ${std}, not ${sigma}`,
  );
}

test('initial weights: bounds, spreads, exact zeros and ones', () => {
  const c = configure('mae_vit_nano_patch4_32', { embed_dim: 192, depth: 2, in_chans: 5, img_size: [16, 24] });
  const weights = initialWeights(c, seed);
  const [d, e, pixels] = [192, c.decoder_embed_dim, 80];
  assert.equal(
    [...weights.keys()],
    parameterSpecs(c).map((s) => s.name),
  );
  const seen = new Set<string>();
  for (const [name, v] of weights) {
    const dim = isDecoder(name) ? e : d;
    const xavier = (out: number, fanIn: number): void => {
      assert.is(v.length, out * fanIn, name);
      uniformWithin(name, v, Math.sqrt(6 / (out + fanIn)));
    };
    if (name.endsWith('qkv.weight'))
      xavier(3 * dim, dim); // the fused matrix as one: bound sqrt(6 / 4d)
    else if (name.endsWith('attn.proj.weight')) xavier(dim, dim);
    else if (name.endsWith('fc1.weight')) xavier(4 * dim, dim);
    else if (name.endsWith('fc2.weight')) xavier(dim, 4 * dim);
    else if (name === 'patch_embed.proj.weight')
      xavier(d, pixels); // on the (d, C p p) view
    else if (name === 'decoder_embed.weight') xavier(e, d);
    else if (name === 'decoder_pred.weight') xavier(pixels, e);
    else if (name === 'patch_embed.proj.bias')
      uniformWithin(name, v, 1 / Math.sqrt(pixels)); // torch's default: not reset
    else if (name.endsWith('_token')) {
      const { mean, std, high } = moments(v);
      assert.ok(Math.abs(mean) < (5 * 0.02) / Math.sqrt(v.length), `${name}: mean ${mean}`);
      assert.ok(Math.abs(std / 0.02 - 1) < 5 / Math.sqrt(2 * v.length), `${name}: std ${std}`);
      assert.ok(high < 0.02 * 6);
    } else if (name.endsWith('.bias'))
      assert.ok(
        v.every((x) => Object.is(x, 0)),
        `${name} must be 0`,
      );
    else if (name.includes('norm'))
      assert.ok(
        v.every((x) => x === 1),
        `${name} must be 1`,
      );
    else assert.ok(name.endsWith('pos_embed'), `${name} was not expected`);
    const key = v.slice(0, 16).join();
    if (!/norm|pos_embed|\.bias$/.test(name)) assert.not(seen.has(key), `${name} repeats another tensor`);
    seen.add(key);
  }
  assert.equal(initialWeights(c, seed).get('cls_token'), weights.get('cls_token'));
  assert.not.equal(initialWeights(c, seed + 1).get('cls_token'), weights.get('cls_token'));
});

/** numpy's way: an outer product of positions and omega = 1 / 10000^(i / (dim / 4)), all in f64. */
function reference(dim: number, rows: number, cols: number): Float64Array {
  const out = new Float64Array((1 + rows * cols) * dim);
  const omega = Array.from({ length: dim / 4 }, (_, i) => 1 / 10000 ** (i / (dim / 4)));
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) {
      const quarters = [
        omega.map((w) => Math.sin(col * w)),
        omega.map((w) => Math.cos(col * w)),
        omega.map((w) => Math.sin(row * w)),
        omega.map((w) => Math.cos(row * w)),
      ];
      out.set(quarters.flat(), (1 + row * cols + col) * dim);
    }
  }
  return out;
}

test('sin-cos positions: a row of zeros, then the column before the row, sines before cosines', () => {
  for (const [dim, rows, cols] of [
    [768, 14, 14],
    [64, 3, 5],
    [12, 1, 7],
    [4, 2, 1],
  ]) {
    const got = sinCosPositions(dim, [rows, cols]);
    const want = reference(dim, rows, cols);
    assert.is(got.length, want.length);
    assert.ok(
      got.every((x, i) => Math.abs(x - want[i]) <= 2 ** -24),
      `${dim}, ${rows} x ${cols}`,
    );
    assert.ok(got.subarray(0, dim).every((x) => x === 0));
  }
  // The layout trap: one step to the right moves the first half of the row, one step down the second.
  const dim = 8;
  const at = (i: number): number[] => Array.from(sinCosPositions(dim, [2, 3]).subarray((1 + i) * dim, (2 + i) * dim));
  const [s, c] = [Math.fround(Math.sin(1)), Math.fround(Math.cos(1))];
  const [s2, c2] = [Math.fround(Math.sin(0.01)), Math.fround(Math.cos(0.01))];
  assert.equal(at(0), [0, 0, 1, 1, 0, 0, 1, 1]);
  assert.equal(at(1), [s, s2, c, c2, 0, 0, 1, 1]);
  assert.equal(at(3), [0, 0, 1, 1, s, s2, c, c2]);
  const config = configure('mae_vit_nano_patch4_32', { img_size: [8, 12] });
  assert.equal(gridOf(config), [2, 3]);
  assert.equal(initialWeights(config, 0).get('pos_embed'), sinCosPositions(96, [2, 3]));
  assert.equal(initialWeights(config, 0).get('decoder_pos_embed'), sinCosPositions(64, [2, 3]));
});

for (const { name: file, path } of goldenCases) {
  test(`sin-cos positions of ${file}, bit for bit`, () => {
    const { tensors, metadata } = parseSafetensors(new Uint8Array(readFileSync(path)));
    const { img, patch, dim, dec_dim } = JSON.parse(metadata.get('config') as string);
    const [height, width] = Array.isArray(img) ? img : [img, img];
    const grid = [height / patch, width / patch] as const;
    for (const [name, d] of [
      ['pos_embed', dim],
      ['decoder_pos_embed', dec_dim],
    ]) {
      assert.equal(sinCosPositions(d, grid), toFloat32(tensors.get(`param.${name}`) as RawTensor));
    }
  });
}

test('the encoder begins the same under every objective', () => {
  const mae = configure('mae_vit_nano_patch4_32', { depth: 1, pos_embed: 'learned' });
  const [own, other] = (['mae', 'simmim'] as const).map((objective) => initialWeights({ ...mae, objective }, 5));
  for (const [name, value] of other)
    if (!/^(mask_token|decoder_pred)/.test(name)) assert.equal(value, own.get(name), name);
  assert.is(other.get('mask_token')?.length, mae.embed_dim);
});
test.run();
