// One name for every weight, facebookresearch/mae's, whatever a file calls it; and back to Hugging Face's. Q, K and V lie in one matrix here.
// The table of both: mae/weights/README.md.
import { fail } from '../../engine/errors.ts';

export type Naming = 'mae' | 'huggingface';
/** Which third of a fused tensor. */
export type Part = 0 | 1 | 2;

interface Weight {
  readonly name: string;
  /** Where a file has query, key and value apart: which of them. */
  readonly part?: Part;
  readonly naming: Naming;
}

/** What wrappers put before every name: DDP, torch.compile, Lightning, models that have the encoder as a member. */
const WRAPPERS = ['module.', '_orig_mod.', 'model.', 'backbone.', 'vit.', 'base_model.'];

/** Hugging Face's name (of transformers 4 and 5) to ours, outside of blocks. */
const OUTSIDE: readonly (readonly [theirs: string, ours: string])[] = [
  ['embeddings.cls_token', 'cls_token'],
  ['embeddings.position_embeddings', 'pos_embed'],
  ['embeddings.patch_embeddings.projection', 'patch_embed.proj'],
  ['layernorm', 'norm'],
  ['decoder.mask_token', 'mask_token'],
  ['decoder.decoder_pos_embed', 'decoder_pos_embed'],
  ['decoder.decoder_embed', 'decoder_embed'],
  ['decoder.decoder_norm', 'decoder_norm'],
  ['decoder.decoder_pred', 'decoder_pred'],
  ['classifier', 'head'],
];
const BLOCKS: readonly (readonly [theirs: string, ours: string])[] = [
  ['encoder.layer', 'blocks'],
  ['encoder.layers', 'blocks'],
  ['layers', 'blocks'],
  ['decoder.decoder_layers', 'decoder_blocks'],
  ['decoder.layers', 'decoder_blocks'],
];
/** Within a block. The first name of each of ours is the one that is written. */
const INSIDE: readonly (readonly [theirs: string, ours: string, part?: Part])[] = [
  ['layernorm_before', 'norm1'],
  ['attention.attention.query', 'attn.qkv', 0],
  ['attention.attention.key', 'attn.qkv', 1],
  ['attention.attention.value', 'attn.qkv', 2],
  ['attention.output.dense', 'attn.proj'],
  ['layernorm_after', 'norm2'],
  ['intermediate.dense', 'mlp.fc1'],
  ['output.dense', 'mlp.fc2'],
  ['attention.q_proj', 'attn.qkv', 0],
  ['attention.k_proj', 'attn.qkv', 1],
  ['attention.v_proj', 'attn.qkv', 2],
  ['attention.o_proj', 'attn.proj'],
  ['mlp.fc1', 'mlp.fc1'],
  ['mlp.fc2', 'mlp.fc2'],
];

/** `NAME.weight` to [NAME, `.weight`]. */
function split(name: string): [stem: string, ending: string] {
  const ending = /\.(weight|bias)$/.exec(name)?.[0] ?? '';
  return [name.slice(0, name.length - ending.length), ending];
}

/** A file's name for a weight, without wrappers, as ours; names that are nobody's stay as they are. */
export function ourName(written: string): Weight {
  let name = written;
  for (let wrapper: string | undefined; (wrapper = WRAPPERS.find((w) => name.startsWith(w))); )
    name = name.slice(wrapper.length);
  const [stem, ending] = split(name);
  for (const [theirs, ours] of OUTSIDE) if (stem === theirs) return { name: ours + ending, naming: 'huggingface' };
  for (const [theirs, ours] of BLOCKS) {
    if (!stem.startsWith(`${theirs}.`)) continue;
    const [, number, inside] = /^(\d{1,4})\.(.*)$/.exec(stem.slice(theirs.length + 1)) ?? [];
    const found = INSIDE.find(([from]) => from === inside);
    if (found) return { name: `${ours}.${number}.${found[1]}${ending}`, part: found[2], naming: 'huggingface' };
  }
  return { name, naming: 'mae' };
}

/** Hugging Face's names for one of ours: three for what is fused here. `prefix` stands before all that is not the decoder's or the head. */
export function theirNames(name: string, prefix: string): string[] {
  const [stem, ending] = split(name);
  const outside = OUTSIDE.find(([, ours]) => ours === stem);
  if (outside) {
    const [theirs] = outside;
    return [(/^(decoder|classifier)/.test(theirs) ? theirs : prefix + theirs) + ending];
  }
  const [, stack, number, inside] = /^(blocks|decoder_blocks)\.(\d+)\.(.*)$/.exec(stem) ?? [];
  const blocks = BLOCKS.find(([, ours]) => ours === stack);
  if (!blocks) return fail(`convert: Hugging Face has no name for ${name}`);
  const before = `${stack === 'blocks' ? prefix : ''}${blocks[0]}.${number}.`;
  const parts = INSIDE.slice(0, WRITTEN).filter(([, ours]) => ours === inside);
  return parts.map(([theirs]) => before + theirs + ending);
}

/** How many of `INSIDE` are written: transformers 4's names, which 5 reads, too. */
const WRITTEN = 8;
