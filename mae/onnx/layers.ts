// The model's layers as nodes of an ONNX graph: what mae/model/block.ts and mae/model/encoder.ts are in tensors.
// N batch, L patches, K kept patches, T tokens, D width, p patch side, C channels.
import { type EncoderConfig, gridOf, patchesOf } from '../model/config.ts';
import type { Graph, Value } from './graph.ts';

/** x (…, from) to (…, to). */
export function linear(g: Graph, name: string, x: Value, from: number, to: number): Value {
  return g.within(name, () => {
    const product = g.one('MatMul', [x, g.transposed(`${name}.weight`, to, from)]);
    return g.one('Add', [product, g.weight(`${name}.bias`, to)]);
  });
}

export function layernorm(g: Graph, name: string, x: Value, dim: number, eps: number): Value {
  const inputs = [x, g.weight(`${name}.weight`, dim), g.weight(`${name}.bias`, dim)];
  return g.within(name, () => g.one('LayerNormalization', inputs, { axis: -1, epsilon: { float: eps } }));
}

interface StackOptions {
  readonly dim: number;
  readonly heads: number;
  readonly hidden: number;
  readonly eps: number;
}

/** x (N, T, D) to the same after `depth` pre-norm blocks. */
export function blocks(g: Graph, name: string, x: Value, depth: number, options: StackOptions): Value {
  let y = x;
  for (let i = 0; i < depth; i++) y = block(g, `${name}.${i}`, y, options);
  return y;
}

function block(g: Graph, name: string, x: Value, options: StackOptions): Value {
  const { dim, hidden, eps } = options;
  const attended = attention(g, `${name}.attn`, layernorm(g, `${name}.norm1`, x, dim, eps), options);
  const y = g.within(name, () => g.one('Add', [x, attended]));
  const expanded = linear(g, `${name}.mlp.fc1`, layernorm(g, `${name}.norm2`, y, dim, eps), dim, hidden);
  const active = g.within(name, () => g.one('Gelu', [expanded]));
  const contracted = linear(g, `${name}.mlp.fc2`, active, hidden, dim);
  return g.within(name, () => g.one('Add', [y, contracted]));
}

/** softmax(q k^T / sqrt(head)) v of every head, and the projection after it. */
function attention(g: Graph, name: string, x: Value, { dim, heads }: StackOptions): Value {
  const head = dim / heads;
  const qkv = linear(g, `${name}.qkv`, x, dim, 3 * dim);
  const merged = g.within(name, () => {
    const parts = g.node('Split', [qkv], { axis: -1, num_outputs: 3 }, 3);
    const [q, k, v] = parts.map((part, i) => {
      const split = g.one('Reshape', [part, g.integers(0, 0, heads, head)]);
      return g.one('Transpose', [split], { perm: i === 1 ? [0, 2, 3, 1] : [0, 2, 1, 3] }); // k (N, heads, head, T)
    });
    const scaled = g.one('Mul', [q, g.real(head ** -0.5)]);
    const weights = g.one('Softmax', [g.one('MatMul', [scaled, k])], { axis: -1 });
    const o = g.one('Transpose', [g.one('MatMul', [weights, v])], { perm: [0, 2, 1, 3] });
    return g.one('Reshape', [o, g.integers(0, 0, dim)]);
  });
  return linear(g, `${name}.proj`, merged, dim, dim);
}

/** (1): N, for shapes that depend on it. */
const batchOf = (g: Graph, x: Value): Value => g.one('Shape', [x], { start: 0, end: 1 });

/** Rows `from` to `to` (exclusive) of axis 1. */
export const rows = (g: Graph, x: Value, from: number, to: number): Value =>
  g.one('Slice', [x, g.integers(from), g.integers(to), g.integers(1)]);

/** Of x (N, L, D) the rows that ids (N, K) name, for each image its own: (N, K, D). */
export const gathered = (g: Graph, x: Value, ids: Value): Value =>
  g.one('GatherND', [x, g.one('Unsqueeze', [ids, g.integers(-1)])], { batch_dims: 1 });

/** pixel_values (N, C, H, W) to patches (N, L, D): a convolution whose stride is its size. Positions are added where `positions`. */
export function embedPatches(g: Graph, pixels: Value, config: EncoderConfig, positions: boolean): Value {
  const { patch_size: p, in_chans, embed_dim: D } = config;
  const L = patchesOf(config);
  const name = 'patch_embed.proj';
  const weights = [g.weight(`${name}.weight`, D, in_chans, p, p), g.weight(`${name}.bias`, D)];
  return g.within('patch_embed', () => {
    const map = g.one('Conv', [pixels, ...weights], { kernel_shape: [p, p], strides: [p, p] }); // (N, D, rows, cols)
    const x = g.one('Transpose', [g.one('Reshape', [map, g.integers(0, D, L)])], { perm: [0, 2, 1] });
    return positions ? g.one('Add', [x, rows(g, g.weight('pos_embed', 1, 1 + L, D), 1, 1 + L)]) : x;
  });
}

/** The cls token, with its position, before x (N, K, D). */
export function prependCls(g: Graph, x: Value, config: EncoderConfig): Value {
  const D = config.embed_dim;
  return g.within('cls', () => {
    const position = rows(g, g.weight('pos_embed', 1, 1 + patchesOf(config), D), 0, 1);
    const token = g.one('Add', [g.weight('cls_token', 1, 1, D), position]);
    const shape = g.one('Concat', [batchOf(g, x), g.integers(1, D)], { axis: 0 });
    return g.one('Concat', [g.one('Expand', [token, shape]), x], { axis: 1 });
  });
}

/** The encoder's blocks; the norm after them is the caller's. */
export function encoderBlocks(
  g: Graph,
  x: Value,
  { depth, embed_dim, num_heads, mlp_ratio, ln_eps }: EncoderConfig,
): Value {
  return blocks(g, 'blocks', x, depth, {
    dim: embed_dim,
    heads: num_heads,
    hidden: embed_dim * mlp_ratio,
    eps: ln_eps,
  });
}

/** Images (N, C, H, W) as rows of pixels (N, L, p * p * C), channels last: facebookresearch/mae's patchify. */
export function patchify(g: Graph, pixels: Value, config: EncoderConfig): Value {
  const { patch_size: p, in_chans: C } = config;
  const [down, across] = gridOf(config);
  const cut = g.one('Reshape', [pixels, g.integers(0, C, down, p, across, p)]);
  const ordered = g.one('Transpose', [cut], { perm: [0, 2, 4, 3, 5, 1] });
  return g.one('Reshape', [ordered, g.integers(0, down * across, p * p * C)]);
}

/** The way back. */
export function unpatchify(g: Graph, patches: Value, config: EncoderConfig): Value {
  const { patch_size: p, in_chans: C, img_size } = config;
  const [down, across] = gridOf(config);
  const cut = g.one('Reshape', [patches, g.integers(0, down, across, p, p, C)]);
  const ordered = g.one('Transpose', [cut], { perm: [0, 5, 1, 3, 2, 4] });
  return g.one('Reshape', [ordered, g.integers(0, C, ...img_size)]);
}
