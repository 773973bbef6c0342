// A model's sizes from what a file has: shapes, then what a config or the run's arguments say. What neither says is asked for, not guessed.
import { fail } from '../../engine/errors.ts';
import type { Dtype } from '../../engine/rawtensor.ts';
import { checked, checkedEncoder, type EncoderConfig, type MaeConfig, PRESETS } from '../model/config.ts';
import { checkedClassifier, type ClassifierConfig } from '../model/classifier.ts';
import { sinCosPositions } from '../model/posembed.ts';

type Shapes = ReadonlyMap<string, readonly number[]>;

/** A table of position embeddings, and what it was kept as. */
export interface Positions {
  readonly values: Float32Array;
  readonly dtype: Dtype;
}

/** What shapes cannot tell. */
export interface Hints {
  readonly img_size?: readonly [number, number];
  readonly num_heads?: number;
  readonly decoder_num_heads?: number;
  readonly ln_eps?: number;
  readonly norm_pix_loss?: boolean;
  readonly dropout?: number;
}

const HINTS = ['img_size', 'num_heads', 'decoder_num_heads', 'ln_eps', 'norm_pix_loss', 'dropout'] as const;

/** What is asked for is for what a file does not say. @throws where it says otherwise */
export function refuseOther(said: Hints, asked: Hints): void {
  for (const what of HINTS) {
    const [known, wanted] = [said[what], asked[what]];
    if (known !== undefined && wanted !== undefined && String(known) !== String(wanted))
      fail(`says that ${what} is ${known}, asked for is ${wanted}: leave it out, it is for what a file does not say`);
  }
}

/** Heads of widths that everybody gives as many: ViT-Ti, S, B, L, H; and of the paper's decoder. */
const HEADS: Readonly<Record<number, number>> = { 192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16 };
const DECODER_HEADS: Readonly<Record<number, number>> = { 512: 16 };
/** facebookresearch/mae's and timm's. */
const LN_EPS = 1e-6;

/** Sizes that a name of `args.model` stands for, where they are those of the file. */
export function hintsOfArgs(args: ReadonlyMap<string, unknown>, shapes: Shapes): Hints {
  const preset = (PRESETS as Readonly<Record<string, MaeConfig>>)[String(args.get('model'))];
  const same = preset && shapes.get('cls_token')?.[2] === preset.embed_dim;
  const norm = args.get('norm_pix_loss');
  return {
    ...(same ? { num_heads: preset.num_heads } : {}),
    ...(same && shapes.get('mask_token')?.[2] === preset.decoder_embed_dim
      ? { decoder_num_heads: preset.decoder_num_heads }
      : {}),
    ...(typeof norm === 'boolean' ? { norm_pix_loss: norm } : {}),
  };
}

const dims = (shapes: Shapes, name: string, rank: number): readonly number[] => {
  const shape = shapes.get(name) ?? fail(`lacks ${name}`);
  if (shape.length === rank && shape.every((size) => size > 0)) return shape;
  return fail(`${name} is (${shape.join(', ')}), it must have ${rank} dimensions`);
};

const depthOf = (shapes: Shapes, stack: string): number => {
  const numbers = [...shapes.keys()].flatMap((name) => new RegExp(`^${stack}\\.(\\d{1,4})\\.`).exec(name)?.[1] ?? []);
  return Math.max(-1, ...numbers.map(Number)) + 1;
};

const headsOf = (
  what: string,
  dim: number,
  hint: number | undefined,
  known: Readonly<Record<number, number>>,
): number =>
  hint ??
  known[dim] ??
  fail(
    `how many heads a width of ${dim} has is not in the file: give ${what} (of fromPretrained, or tesserae convert FILE OUT --${what} N once for all)`,
  );

/** @throws TesseraeError, to be read after the file's name */
export function encoderSizes(shapes: Shapes, positions: Positions, hints: Hints): EncoderConfig {
  const [embed_dim, in_chans, patch_size, width] = dims(shapes, 'patch_embed.proj.weight', 4);
  if (width !== patch_size) fail(`its patches are ${patch_size} x ${width}, they must be square`);
  const [, tokens] = dims(shapes, 'pos_embed', 3);
  const [hidden] = dims(shapes, 'blocks.0.mlp.fc1.weight', 2);
  const img_size = hints.img_size ?? squareOf(tokens - 1, patch_size);
  const grid = [img_size[0] / patch_size, img_size[1] / patch_size] as const;
  if (grid[0] * grid[1] !== tokens - 1)
    fail(`has positions for ${tokens - 1} patches, an image of ${img_size.join(' x ')} has ${grid[0] * grid[1]}`);
  return checkedEncoder({
    img_size,
    patch_size,
    in_chans,
    embed_dim,
    depth: depthOf(shapes, 'blocks'),
    num_heads: headsOf('num_heads', embed_dim, hints.num_heads, HEADS),
    mlp_ratio: hidden / embed_dim,
    ln_eps: hints.ln_eps ?? LN_EPS,
    dropout: hints.dropout ?? 0,
    pos_embed: isSinCos(positions, embed_dim, grid) ? 'sincos' : 'learned',
  });
}

export function autoencoderSizes(encoder: EncoderConfig, shapes: Shapes, table: Positions, hints: Hints): MaeConfig {
  const [, , decoder_embed_dim] = dims(shapes, 'mask_token', 3);
  const [hidden] = dims(shapes, 'decoder_blocks.0.mlp.fc1.weight', 2);
  if (hidden !== decoder_embed_dim * encoder.mlp_ratio) {
    fail(
      `its decoder widens ${decoder_embed_dim} to ${hidden}, its encoder by ${encoder.mlp_ratio}: both must be the same ratio`,
    );
  }
  const grid = encoder.img_size.map((side) => side / encoder.patch_size) as [number, number];
  return checked({
    ...encoder,
    pos_embed: isSinCos(table, decoder_embed_dim, grid) ? encoder.pos_embed : 'learned',
    decoder_embed_dim,
    decoder_depth: depthOf(shapes, 'decoder_blocks'),
    decoder_num_heads: headsOf('decoder_num_heads', decoder_embed_dim, hints.decoder_num_heads, DECODER_HEADS),
    norm_pix_loss: hints.norm_pix_loss ?? false,
  });
}

/** `pool` follows from which norm there is: after the mean, or of all tokens; timm's config may say more (`token`, `avg`). */
export function classifierSizes(encoder: EncoderConfig, shapes: Shapes, said?: unknown): ClassifierConfig {
  const [nb_classes] = dims(shapes, 'head.weight', 2);
  const afterMean = shapes.has('fc_norm.weight');
  if (said !== undefined && said !== 'avg' && (said !== 'token' || afterMean))
    fail(`config.json: global_pool is ${JSON.stringify(said)?.slice(0, 40)}, which models here do not do`);
  return checkedClassifier({
    ...encoder,
    nb_classes,
    drop_path: 0,
    pool: afterMean ? 'gap' : said === 'avg' ? 'normed' : 'cls',
  });
}

function squareOf(patches: number, patch_size: number): [number, number] {
  const side = Math.sqrt(patches);
  if (!(Number.isInteger(side) && side > 0)) {
    fail(
      `has positions for ${patches} patches, which is no square: tesserae convert FILE OUT --input_size HxW says of which image`,
    );
  }
  return [side * patch_size, side * patch_size];
}

/** Whether positions are the fixed ones, as far as the dtype that they were kept in can tell. */
function isSinCos({ values, dtype }: Positions, dim: number, [rows, cols]: readonly [number, number]): boolean {
  if (values.length !== (1 + rows * cols) * dim || dim % 4) return false;
  const off = dtype === 'BF16' ? 4e-3 : dtype === 'F16' ? 5e-4 : 1e-6;
  return sinCosPositions(dim, [rows, cols]).every((x, i) => Math.abs(x - values[i]) < off);
}
