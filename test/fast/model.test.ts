// The model's sizes, names and masking arithmetic against numbers worked out apart from the code. No GPU.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  configure,
  decays,
  lenKeep,
  type MaeConfig,
  PRESETS,
  parameterSpecs,
  patchesOf,
} from '../../mae/model/config.ts';

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const isDecoder = (name: string): boolean => name.startsWith('decoder') || name === 'mask_token';

/** Parameters of one stack by the formula: 12 d^2 + 13 d a block, the final norm, and the positions. */
const stack = (dim: number, depth: number, tokens: number): number =>
  depth * (12 * dim * dim + 13 * dim) + 2 * dim + tokens * dim;

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
  assert.equal(
    parameterSpecs(c).map((s) => [s.name, s.shape]),
    want,
  );
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
  for (const ratio of [1, -0.1, Number.NaN, 1.5])
    assert.throws(() => lenKeep(10, ratio), /mask_ratio must be in \[0, 1\)/);
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

test.run();
