// The model's sizes, names, masking arithmetic, initial weights and position embeddings, against numbers worked out apart
// from the code. No GPU.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type RawTensor, toFloat32 } from '../../engine/rawtensor.ts';
import { parseSafetensors } from '../../engine/safetensors.ts';
import {
  configure,
  decays,
  gridOf,
  lenKeep,
  type MaeConfig,
  PRESETS,
  parameterSpecs,
  patchesOf,
} from '../../mae/model/config.ts';
import { initialWeights } from '../../mae/model/init.ts';
import { sinCosPositions } from '../../mae/model/posembed.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const isDecoder = (name: string): boolean => name.startsWith('decoder') || name === 'mask_token';

/** Parameters of one stack by the formula: 12 d^2 + 13 d a block, the final norm, and the positions. */
const stack = (dim: number, depth: number, tokens: number): number => depth * (12 * dim * dim + 13 * dim) + 2 * dim + tokens * dim;

function expected(c: MaeConfig): { encoder: number; decoder: number; tensors: number } {
  const tokens = patchesOf(c) + 1;
  const pixels = c.patch_size ** 2 * c.in_chans;
  const { embed_dim: d, decoder_embed_dim: e } = c;
  return {
    encoder: d + (pixels * d + d) + stack(d, c.depth, tokens),
    decoder: e + (d * e + e) + stack(e, c.decoder_depth, tokens) + (e * pixels + pixels),
    tensors: 12 * (c.depth + c.decoder_depth) + 14,
  };
}

/** Encoder, whole model (both with positions) and tensors of the state dict, as published checkpoints have them. */
const PUBLISHED: Record<string, [encoder: number, all: number, tensors: number]> = {
  mae_vit_base_patch16: [85_798_656, 111_907_840, 254],
  mae_vit_large_patch16: [303_301_632, 329_541_888, 398],
  mae_vit_huge_patch14: [630_764_800, 657_074_508, 494],
};

/** ViTs without a head, as everybody counts them. */
const ENCODERS: Record<string, number> = { mae_vit_small_patch16: 21_665_664, mae_vit_tiny_patch16: 5_524_416 };

for (const [name, config] of Object.entries(PRESETS)) {
  test(`parameters of ${name}`, () => {
    const specs = parameterSpecs(config);
    const count = (of: typeof specs): number => of.reduce((n, s) => n + size(s.shape), 0);
    const encoder = count(specs.filter((s) => !isDecoder(s.name)));
    const want = expected(config);
    assert.equal([encoder, count(specs) - encoder, specs.length], [want.encoder, want.decoder, want.tensors]);
    const published = PUBLISHED[name.replace('_dec512d8b', '')];
    if (published) assert.equal([encoder, count(specs), specs.length], published);
    if (ENCODERS[name]) assert.is(encoder, ENCODERS[name]);
    assert.is(new Set(specs.map((s) => s.name)).size, specs.length);
    assert.equal(
      specs.filter((s) => !s.trainable).map((s) => s.name),
      ['pos_embed', 'decoder_pos_embed'],
      'positions alone are fixed',
    );
  });
}

test('the three of the paper: sizes, and decoder 512 x 8', () => {
  for (const [name, dim, depth, heads, patch] of [
    ['mae_vit_base_patch16', 768, 12, 12, 16],
    ['mae_vit_large_patch16', 1024, 24, 16, 16],
    ['mae_vit_huge_patch14', 1280, 32, 16, 14],
  ] as const) {
    for (const alias of [name, `${name}_dec512d8b`]) {
      const c = configure(alias);
      assert.equal([c.embed_dim, c.depth, c.num_heads, c.patch_size], [dim, depth, heads, patch]);
      assert.equal([c.decoder_embed_dim, c.decoder_depth, c.decoder_num_heads], [512, 8, 16]);
      assert.equal([c.img_size, c.in_chans, c.mlp_ratio, c.ln_eps, c.norm_pix_loss], [[224, 224], 3, 4, 1e-6, false]);
    }
  }
});

test('state dict: names and shapes of the reference', () => {
  const c = configure('mae_vit_nano_patch4_32', { img_size: [8, 12], in_chans: 5, depth: 1, decoder_depth: 1 });
  const [d, e, n, pixels] = [c.embed_dim, c.decoder_embed_dim, 7, 80];
  const block = (prefix: string, w: number): [string, number[]][] => [
    [`${prefix}.norm1.weight`, [w]],
    [`${prefix}.norm1.bias`, [w]],
    [`${prefix}.attn.qkv.weight`, [3 * w, w]],
    [`${prefix}.attn.qkv.bias`, [3 * w]],
    [`${prefix}.attn.proj.weight`, [w, w]],
    [`${prefix}.attn.proj.bias`, [w]],
    [`${prefix}.norm2.weight`, [w]],
    [`${prefix}.norm2.bias`, [w]],
    [`${prefix}.mlp.fc1.weight`, [4 * w, w]],
    [`${prefix}.mlp.fc1.bias`, [4 * w]],
    [`${prefix}.mlp.fc2.weight`, [w, 4 * w]],
    [`${prefix}.mlp.fc2.bias`, [w]],
  ];
  const want: [string, number[]][] = [
    ['cls_token', [1, 1, d]],
    ['pos_embed', [1, n, d]],
    ['mask_token', [1, 1, e]],
    ['decoder_pos_embed', [1, n, e]],
    ['patch_embed.proj.weight', [d, 5, 4, 4]],
    ['patch_embed.proj.bias', [d]],
    ...block('blocks.0', d),
    ['norm.weight', [d]],
    ['norm.bias', [d]],
    ['decoder_embed.weight', [e, d]],
    ['decoder_embed.bias', [e]],
    ...block('decoder_blocks.0', e),
    ['decoder_norm.weight', [e]],
    ['decoder_norm.bias', [e]],
    ['decoder_pred.weight', [pixels, e]],
    ['decoder_pred.bias', [pixels]],
  ];
  assert.equal(parameterSpecs(c).map((s) => [s.name, s.shape]), want);
});

test('weight decay: all but biases and vectors; the tokens do decay', () => {
  const decayed = parameterSpecs(configure('mae_vit_nano_patch4_32', { depth: 1, decoder_depth: 1 }))
    .filter((s) => s.trainable && decays(s))
    .map((s) => s.name);
  const matrices = ['attn.qkv', 'attn.proj', 'mlp.fc1', 'mlp.fc2'];
  const of = (prefix: string) => matrices.map((m) => `${prefix}.${m}.weight`);
  const want = ['cls_token', 'mask_token', 'patch_embed.proj.weight', ...of('blocks.0'), 'decoder_embed.weight'];
  assert.equal(decayed, [...want, ...of('decoder_blocks.0'), 'decoder_pred.weight']);
});

test('lenKeep is int(L * (1 - ratio)) in doubles, with its surprises', () => {
  const cases: [number, number, number][] = [
    [196, 0.75, 49],
    [256, 0.75, 64],
    [64, 0.75, 16],
    [100, 0.8, 19], // 100 * (1 - 0.8) = 19.999999999999996
    [10, 0.8, 1], // 1.9999999999999996
    [10, 0, 10],
    [1, 0, 1],
    [7, 6 / 7, 1],
    [49, 0.5, 24],
  ];
  for (const [patches, ratio, keep] of cases) assert.is(lenKeep(patches, ratio), keep, `${patches}, ${ratio}`);
  // 10 * (1 - 0.9) = 0.9999999999999998: the reference keeps none, which cannot be trained.
  assert.throws(() => lenKeep(10, 0.9), /^.*mask_ratio 0\.9 keeps none of 10 patches/);
  for (const ratio of [1, -0.1, Number.NaN, 1.5]) assert.throws(() => lenKeep(10, ratio), /mask_ratio must be in \[0, 1\)/);
});

test('sizes that cannot work are refused with their names and numbers', () => {
  const wrong: [Partial<MaeConfig>, RegExp][] = [
    [{ patch_size: 5 }, /patch_size 5 must divide the image, 32 x 32/],
    [{ img_size: [32, 30] }, /patch_size 4 must divide the image, 32 x 30/],
    [{ num_heads: 5 }, /embed_dim 96 must be a multiple of its 5 heads/],
    [{ decoder_num_heads: 32 }, /decoder_embed_dim .* 64 \/ 32 = 2/],
    [{ embed_dim: 1000, num_heads: 5 }, /up to 128, got 1000 \/ 5 = 200/],
    [{ in_chans: 0 }, /in_chans must be a whole number of at least 1, got 0/],
    [{ depth: 1.5 }, /depth must be a whole number/],
    [{ img_size: [32, Number.NaN] }, /width must be a whole number/],
    [{ dropout: 1 }, /dropout must be in \[0, 1\), got 1/],
    [{ mlp_ratio: 1.3 }, /mlp_ratio 1\.3 must give whole hidden sizes/],
  ];
  for (const [changes, words] of wrong) assert.throws(() => configure('mae_vit_nano_patch4_32', changes), words);
  assert.throws(() => configure('vit_base'), /no preset vit_base; there are mae_vit_base_patch16,/);
});

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
  assert.ok(Math.abs(std / sigma - 1) < (2.5 * Math.sqrt(0.8)) / Math.sqrt(v.length), `${name}: std ${std}, not ${sigma}`);
}

test('initial weights: bounds, spreads, exact zeros and ones', () => {
  const c = configure('mae_vit_nano_patch4_32', { embed_dim: 192, depth: 2, in_chans: 5, img_size: [16, 24] });
  const weights = initialWeights(c, seed);
  const [d, e, pixels] = [192, c.decoder_embed_dim, 80];
  assert.equal([...weights.keys()], parameterSpecs(c).map((s) => s.name));
  const seen = new Set<string>();
  for (const [name, v] of weights) {
    const dim = isDecoder(name) ? e : d;
    const xavier = (out: number, fanIn: number): void => {
      assert.is(v.length, out * fanIn, name);
      uniformWithin(name, v, Math.sqrt(6 / (out + fanIn)));
    };
    if (name.endsWith('qkv.weight')) xavier(3 * dim, dim); // the fused matrix as one: bound sqrt(6 / 4d)
    else if (name.endsWith('attn.proj.weight')) xavier(dim, dim);
    else if (name.endsWith('fc1.weight')) xavier(4 * dim, dim);
    else if (name.endsWith('fc2.weight')) xavier(dim, 4 * dim);
    else if (name === 'patch_embed.proj.weight') xavier(d, pixels); // on the (d, C p p) view
    else if (name === 'decoder_embed.weight') xavier(e, d);
    else if (name === 'decoder_pred.weight') xavier(pixels, e);
    else if (name === 'patch_embed.proj.bias') uniformWithin(name, v, 1 / Math.sqrt(pixels)); // torch's default: not reset
    else if (name.endsWith('_token')) {
      const { mean, std, high } = moments(v);
      assert.ok(Math.abs(mean) < (5 * 0.02) / Math.sqrt(v.length), `${name}: mean ${mean}`);
      assert.ok(Math.abs(std / 0.02 - 1) < 5 / Math.sqrt(2 * v.length), `${name}: std ${std}`);
      assert.ok(high < 0.02 * 6);
    } else if (name.endsWith('.bias')) assert.ok(v.every((x) => Object.is(x, 0)), `${name} must be 0`);
    else if (name.includes('norm')) assert.ok(v.every((x) => x === 1), `${name} must be 1`);
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
    assert.ok(got.every((x, i) => Math.abs(x - want[i]) <= 2 ** -24), `${dim}, ${rows} x ${cols}`);
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

const golden = process.env.TESSERAE_GOLDEN ?? fileURLToPath(new URL('../../../shared/golden', import.meta.url));
for (const file of existsSync(golden) ? readdirSync(golden).filter((name) => name.endsWith('.safetensors')) : []) {
  test(`sin-cos positions of ${file}, bit for bit`, () => {
    const { tensors, metadata } = parseSafetensors(new Uint8Array(readFileSync(`${golden}/${file}`)));
    const { img, patch, dim, dec_dim } = JSON.parse(metadata.get('config') as string);
    const [height, width] = Array.isArray(img) ? img : [img, img];
    const grid = [height / patch, width / patch] as const;
    for (const [name, d] of [['pos_embed', dim], ['decoder_pos_embed', dec_dim]]) {
      assert.equal(sinCosPositions(d, grid), toFloat32(tensors.get(`param.${name}`) as RawTensor));
    }
  });
}

test.run();
