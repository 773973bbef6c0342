// The pre-norm transformer block that encoder and decoder are made of (Dosovitskiy et al. 2021, figure 1).
import { attention } from '../../engine/ops/attention.ts';
import { dropPath } from '../../engine/ops/drop-path.ts';
import { add, dropout } from '../../engine/ops/elementwise.ts';
import { layernorm } from '../../engine/ops/layernorm.ts';
import { linear } from '../../engine/ops/linear.ts';
import { mlp } from '../../engine/ops/mlp.ts';
import type { Parameters } from '../../engine/parameters.ts';
import type { Tensor, Variable } from '../../engine/tensor.ts';

/** What dropout and stochastic depth are keyed by; without it nothing is dropped, as in evaluation. */
export interface DropoutKey {
  /** (N), u32: the samples' numbers in the data set */
  readonly ids: Tensor;
  /** (2), u32: epoch and step */
  readonly clock: Tensor;
  readonly seed: number;
}

interface BlockOptions {
  readonly heads: number;
  readonly eps: number;
  readonly key?: DropoutKey;
  /** Dropout after attention and MLP. */
  readonly dropout: number;
  /** Rate at which samples leave out each of the two branches. */
  readonly dropPath?: number;
  /** Streams of this block's two branches: dropout's first, then stochastic depth's. */
  readonly streams: readonly [dropout: number, dropPath: number];
  /** The inside is computed again for the backward pass: less memory, a fifth more work. */
  readonly checkpoint?: boolean;
  /** Called with qkv (N, T, 3 * D); for looking at its attention. */
  readonly look?: (qkv: Tensor) => void;
}

/** The weights that linear and layernorm take, by their common name. */
export const layerOf = (parameters: Parameters, name: string): { w: Variable; b: Variable } => ({
  w: parameters.get(`${name}.weight`),
  b: parameters.get(`${name}.bias`),
});

/** x (N, T, D) to x + attn(norm1(x)), then to that + mlp(norm2(that)). */
export function transformerBlock(parameters: Parameters, name: string, x: Tensor, options: BlockOptions): Tensor {
  const block = (input: Tensor): Tensor => blockOf(parameters, name, input, options);
  return options.checkpoint ? x.trace.checkpoint(x, block) : block(x);
}

function blockOf(parameters: Parameters, name: string, x: Tensor, options: BlockOptions): Tensor {
  const { heads, eps, key, dropout: thinned, dropPath: dropped = 0 } = options;
  const layer = (part: string) => layerOf(parameters, `${name}.${part}`);
  const first = layernorm({ x, r: null, ...layer('norm1') }, { eps, half: true });
  const { y: qkv } = linear({ x: first.y, ...layer('attn.qkv'), r: null }, { half: true });
  options.look?.(qkv);
  const { o } = attention({ qkv }, { heads });
  const proj = layer('attn.proj');
  const fc1 = layer('mlp.fc1');
  const fc2 = layer('mlp.fc2');
  const hidden = { w1: fc1.w, b1: fc1.b, w2: fc2.w, b2: fc2.b };
  if (!key || (thinned === 0 && dropped === 0)) {
    const { y } = linear({ x: o, ...proj, r: first.s }, {});
    const second = layernorm({ x: y, r: null, ...layer('norm2') }, { eps, half: true });
    return mlp({ x: second.y, ...hidden, r: second.s }, {}).y;
  }
  const { ids, clock, seed } = key;
  const [forDropout, forPath] = options.streams;
  const thin = (value: Tensor, branch: number): Tensor =>
    thinned === 0 ? value : dropout({ x: value, ids, clock }, { rate: thinned, seed, stream: forDropout + branch }).y;
  const path = (value: Tensor, r: Tensor, branch: number): Tensor =>
    dropPath({ x: value, r, ids, clock }, { rate: dropped, seed, stream: forPath + branch }).y;
  // The residual comes after the branch has been thinned: with the next norm, or with the dropped path.
  const attended = thin(linear({ x: o, ...proj, r: null }, {}).y, 0);
  const second = dropped
    ? layernorm({ x: path(attended, first.s, 0), r: null, ...layer('norm2') }, { eps, half: true })
    : layernorm({ x: attended, r: first.s, ...layer('norm2') }, { eps, half: true });
  const rest = thin(mlp({ x: second.y, ...hidden, r: null }, {}).y, 1);
  return dropped ? path(rest, second.s, 1) : add({ a: second.s, b: rest }, {}).y;
}
