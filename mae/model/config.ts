// Sizes of a masked autoencoder under facebookresearch/mae's names, its presets, and its parameters in state-dict order.
import type { ParameterSpec } from '../../engine/parameters.ts';
import { fail } from '../../engine/errors.ts';

export const POSITIONS = ['sincos', 'learned', 'none'] as const;

/** What pretraining and fine-tuning have in common. */
export interface EncoderConfig {
  /** [height, width] in pixels. */
  readonly img_size: readonly [number, number];
  readonly patch_size: number;
  readonly in_chans: number;
  readonly embed_dim: number;
  readonly depth: number;
  readonly num_heads: number;
  readonly mlp_ratio: number;
  readonly ln_eps: number;
  /** Dropout after every attention projection and MLP; 0 in the paper. */
  readonly dropout: number;
  /** Position embeddings: fixed sines and cosines (also where it is not said), learned, or none (zeros). */
  readonly pos_embed?: (typeof POSITIONS)[number];
}

/** Sizes of a masked autoencoder. Widths, and widths over heads, are multiples of 4. */
export interface MaeConfig extends EncoderConfig {
  readonly decoder_embed_dim: number;
  readonly decoder_depth: number;
  readonly decoder_num_heads: number;
  /** Reconstruct patches normalised by their own mean and variance. */
  readonly norm_pix_loss: boolean;
  /**
   * mae unless said: the encoder sees what is kept, a decoder fills in the rest. simmim (Xie et al. 2022): the encoder sees mask tokens in
   * the place of what is removed, and a linear layer predicts the pixels; the sizes of the decoder mean nothing then.
   */
  readonly objective?: (typeof OBJECTIVES)[number];
  /** mse unless said. */
  readonly loss?: (typeof LOSSES)[number];
}

export const OBJECTIVES = ['mae', 'simmim'] as const;
export const LOSSES = ['mse', 'l1'] as const;

const sizes = (
  patch_size: number,
  embed_dim: number,
  depth: number,
  num_heads: number,
  decoder_embed_dim = 512,
  decoder_depth = 8,
  decoder_num_heads = 16,
  side = 224,
): MaeConfig => ({
  img_size: [side, side],
  patch_size,
  in_chans: 3,
  embed_dim,
  depth,
  num_heads,
  decoder_embed_dim,
  decoder_depth,
  decoder_num_heads,
  mlp_ratio: 4,
  norm_pix_loss: false,
  ln_eps: 1e-6,
  dropout: 0,
});

const base = sizes(16, 768, 12, 12);
const large = sizes(16, 1024, 24, 16);
const huge = sizes(14, 1280, 32, 16);

/** The paper's three, their aliases, and smaller ones with decoders to match. */
export const PRESETS = {
  mae_vit_base_patch16: base,
  mae_vit_base_patch16_dec512d8b: base,
  mae_vit_large_patch16: large,
  mae_vit_large_patch16_dec512d8b: large,
  mae_vit_huge_patch14: huge,
  mae_vit_huge_patch14_dec512d8b: huge,
  mae_vit_small_patch16: sizes(16, 384, 12, 6, 256, 4, 8),
  mae_vit_tiny_patch16: sizes(16, 192, 12, 3, 128, 4, 4),
  /** ViT-Ti/2 for CIFAR-10: the sizes with which 89.8 % after fine-tuning was reported. */
  mae_vit_tiny_patch2_32: sizes(2, 192, 12, 3, 192, 4, 3, 32),
  /** For 32-pixel images and machines without a GPU: what `npm start` trains. */
  mae_vit_nano_patch4_32: sizes(4, 96, 4, 3, 64, 2, 4, 32),
} as const satisfies Record<string, MaeConfig>;

/** A preset with some sizes changed, checked. */
export function configure(preset: string, changes: Partial<MaeConfig> = {}): MaeConfig {
  const found = (PRESETS as Record<string, MaeConfig>)[preset];
  if (!found) fail(`model: there is no preset ${preset}; there are ${Object.keys(PRESETS).join(', ')}`);
  return checked({ ...found, ...definedOnly(changes) });
}

const definedOnly = <T extends object>(o: T): Partial<T> =>
  Object.fromEntries(Object.entries(o).filter(([, v]) => v !== undefined)) as Partial<T>;

const NOT_COUNTS = [
  'objective',
  'loss',
  'norm_pix_loss',
  'img_size',
  'ln_eps',
  'dropout',
  'mlp_ratio',
  'pos_embed',
  'pool',
  'drop_path',
];

/** Beyond what anybody trains: what passes these is a slip of the hand, and would keep the machine busy before memory runs out. */
const MOST: Readonly<Record<string, number>> = {
  height: 16_384,
  width: 16_384,
  patch_size: 4096,
  in_chans: 1024,
  embed_dim: 65_536,
  depth: 1000,
  num_heads: 4096,
  decoder_embed_dim: 65_536,
  decoder_depth: 1000,
  decoder_num_heads: 4096,
};
const MOST_PATCHES = 2 ** 18;

/** Refuses sizes of an encoder that cannot work, naming them. */
export function checkedEncoder<C extends EncoderConfig>(c: C): C {
  const [h, w] = c.img_size;
  for (const [name, n] of Object.entries({ ...c, height: h, width: w })) {
    if (NOT_COUNTS.includes(name)) continue;
    if (!Number.isInteger(n) || (n as number) < 1)
      fail(`model: ${name} must be a whole number of at least 1, got ${n}`);
    if ((n as number) > (MOST[name] ?? Number.POSITIVE_INFINITY))
      fail(`model: ${name} must be at most ${MOST[name]}, got ${n}`);
  }
  if (h % c.patch_size || w % c.patch_size) {
    fail(
      `model: patch_size ${c.patch_size} must divide the image, ${h} x ${w}; choose a size that is a multiple of it`,
    );
  }
  if (patchesOf(c) > MOST_PATCHES)
    fail(
      `model: ${h} x ${w} pixels have ${patchesOf(c)} patches of ${c.patch_size}, at most ${MOST_PATCHES} can be: use larger ones`,
    );
  checkWidth('embed_dim', c.embed_dim, c.num_heads, c.mlp_ratio);
  if (!(c.dropout >= 0 && c.dropout < 1)) fail(`model: dropout must be in [0, 1), got ${c.dropout}`);
  if (c.pos_embed !== undefined && !POSITIONS.includes(c.pos_embed))
    fail(`model: pos_embed must be one of ${POSITIONS.join(', ')}, got ${c.pos_embed}`);
  return c;
}

function checkWidth(what: string, dim: number, heads: number, mlp_ratio: number): void {
  const head = dim / heads;
  if (!Number.isInteger(head)) fail(`model: ${what} ${dim} must be a multiple of its ${heads} heads`);
  if (head % 4 || head > 128)
    fail(`model: ${what} / heads must be a multiple of 4 up to 128, got ${dim} / ${heads} = ${head}`);
  if (dim % 4) fail(`model: ${what} must be a multiple of 4, got ${dim}`);
  if (!Number.isInteger(dim * mlp_ratio)) fail(`model: mlp_ratio ${mlp_ratio} must give whole hidden sizes`);
}

/** Refuses sizes that cannot work, naming them. */
export function checked(c: MaeConfig): MaeConfig {
  checkedEncoder(c);
  checkWidth('decoder_embed_dim', c.decoder_embed_dim, c.decoder_num_heads, c.mlp_ratio);
  return c;
}

/** [rows, columns] of patches. */
export const gridOf = (c: EncoderConfig): [number, number] => [
  c.img_size[0] / c.patch_size,
  c.img_size[1] / c.patch_size,
];
/** L: patches of an image. */
export const patchesOf = (c: EncoderConfig): number => gridOf(c)[0] * gridOf(c)[1];
/** Values in a patch: p * p * C. */
export const patchValues = (c: EncoderConfig): number => c.patch_size ** 2 * c.in_chans;

/** Patches that stay visible: int(L * (1 - ratio)) in doubles, as the reference computes it. */
export function lenKeep(patches: number, maskRatio: number): number {
  if (!(maskRatio >= 0 && maskRatio < 1)) fail(`masking: mask_ratio must be in [0, 1), got ${maskRatio}`);
  const keep = Math.trunc(patches * (1 - maskRatio));
  if (keep < 1)
    fail(`masking: mask_ratio ${maskRatio} keeps none of ${patches} patches; lower it below ${1 - 1 / patches}`);
  return keep;
}

/** The ratio under which so many patches stay. */
export function ratioFor(keep: number, patches: number): number {
  const ratio = 1 - keep / patches;
  // Doubles may fall just below the whole number that lenKeep cuts down to.
  return Math.trunc(patches * (1 - ratio)) === keep ? ratio : ratio - 1e-9;
}

/** Lists parameters: what the specs of encoder, decoder and classifier are written with. */
export function specList(mlp_ratio: number) {
  const specs: ParameterSpec[] = [];
  const add = (name: string, ...shape: number[]) => void specs.push({ name, shape, trainable: true });
  const fixed = (name: string, ...shape: number[]) => void specs.push({ name, shape, trainable: false });
  const norm = (name: string, dim: number) => {
    add(`${name}.weight`, dim);
    add(`${name}.bias`, dim);
  };
  const linear = (name: string, out: number, dim: number) => {
    add(`${name}.weight`, out, dim);
    add(`${name}.bias`, out);
  };
  const blocks = (prefix: string, depth: number, dim: number) => {
    for (let i = 0; i < depth; i++) {
      norm(`${prefix}.${i}.norm1`, dim);
      linear(`${prefix}.${i}.attn.qkv`, 3 * dim, dim);
      linear(`${prefix}.${i}.attn.proj`, dim, dim);
      norm(`${prefix}.${i}.norm2`, dim);
      linear(`${prefix}.${i}.mlp.fc1`, dim * mlp_ratio, dim);
      linear(`${prefix}.${i}.mlp.fc2`, dim, dim * mlp_ratio);
    }
  };
  return { specs, add, fixed, norm, linear, blocks };
}

/** Every parameter with its shape, in the order of facebookresearch/mae's state dict. */
export function parameterSpecs(c: MaeConfig): ParameterSpec[] {
  const { specs, add, fixed, norm, linear, blocks } = specList(c.mlp_ratio);
  const positions = c.pos_embed === 'learned' ? add : fixed;
  const n = patchesOf(c) + 1;
  const D = c.embed_dim;
  const E = c.decoder_embed_dim;
  add('cls_token', 1, 1, D);
  positions('pos_embed', 1, n, D);
  if (c.objective === 'simmim') {
    add('mask_token', 1, 1, D);
    add('patch_embed.proj.weight', D, c.in_chans, c.patch_size, c.patch_size);
    add('patch_embed.proj.bias', D);
    blocks('blocks', c.depth, D);
    norm('norm', D);
    linear('decoder_pred', patchValues(c), D);
    return specs;
  }
  add('mask_token', 1, 1, E);
  positions('decoder_pos_embed', 1, n, E);
  add('patch_embed.proj.weight', D, c.in_chans, c.patch_size, c.patch_size);
  add('patch_embed.proj.bias', D);
  blocks('blocks', c.depth, D);
  norm('norm', D);
  linear('decoder_embed', E, D);
  blocks('decoder_blocks', c.decoder_depth, E);
  norm('decoder_norm', E);
  linear('decoder_pred', patchValues(c), E);
  return specs;
}

/** Of the encoder alone, in that order. */
export function encoderSpecs(c: EncoderConfig): ParameterSpec[] {
  const { specs, add, fixed, norm, blocks } = specList(c.mlp_ratio);
  const D = c.embed_dim;
  add('cls_token', 1, 1, D);
  (c.pos_embed === 'learned' ? add : fixed)('pos_embed', 1, patchesOf(c) + 1, D);
  add('patch_embed.proj.weight', D, c.in_chans, c.patch_size, c.patch_size);
  add('patch_embed.proj.bias', D);
  blocks('blocks', c.depth, D);
  norm('norm', D);
  return specs;
}

/** Weight decay as the reference's timm groups: none for biases and 1-D tensors; cls and mask tokens do decay. */
export const decays = (spec: { name: string; shape: readonly number[] }): boolean =>
  spec.shape.length > 1 && !spec.name.endsWith('.bias');
