// One row an op: random ugly inputs and how it is called. The gradient tests (f64 on the host, f32 on Dawn) iterate it.
import type { Random } from '../../kernels/random/random.ts';
import { attention, attentionProbabilities } from '../../engine/ops/attention.ts';
import { batchNorm } from '../../engine/ops/batch-norm.ts';
import { classTargets, crossEntropy } from '../../engine/ops/cross-entropy.ts';
import { dropPath } from '../../engine/ops/drop-path.ts';
import { add, dropout, gelu } from '../../engine/ops/elementwise.ts';
import { embed } from '../../engine/ops/embed.ts';
import { layernorm } from '../../engine/ops/layernorm.ts';
import { linear } from '../../engine/ops/linear.ts';
import { maskedMse } from '../../engine/ops/masked-mse.ts';
import { randomMasking, uniformNoise } from '../../engine/ops/masking.ts';
import { mlp } from '../../engine/ops/mlp.ts';
import { mul } from '../../engine/ops/mul.ts';
import { mse } from '../../engine/ops/mse.ts';
import { patchify } from '../../engine/ops/patchify.ts';
import { pool } from '../../engine/ops/pool.ts';
import { relu } from '../../engine/ops/relu.ts';
import { restore } from '../../engine/ops/restore.ts';
import { take } from '../../engine/ops/take.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { type Given, given, type OpCase } from '../../engine/testing/case.ts';
import { type Kit, kit, SIDES } from './op-kit.ts';

interface OpRow {
  /** The name under which engine/ops exports the op. */
  readonly op: string;
  readonly label: string;
  readonly draw: (rng: Random) => OpCase;
}

// biome-ignore lint/suspicious/noExplicitAny: rows call ops of every signature by the names in their inputs
type Loose = any;

const row = (op: string, label: string, draw: (k: Kit) => OpCase): OpRow => ({
  op,
  label,
  draw: (rng) => draw(kit(rng)),
});

const linearRow = (residual: boolean, convolution: boolean, bias = true): OpRow =>
  row(
    'linear',
    `${residual ? 'residual' : 'no residual'}${convolution ? ', 4-d weight' : ''}${bias ? '' : ', no bias'}`,
    (k) => {
      const lead = k.pick([k.pick(...SIDES)], [k.upTo(4), k.pick(...SIDES)]);
      const [fanIn, out] = convolution ? [k.upTo(3) * 4, k.pick(...SIDES)] : [k.pick(...SIDES), k.pick(...SIDES)];
      const inputs = {
        x: k.normal(...lead, fanIn),
        w: convolution ? k.normal(out, fanIn / 4, 2, 2) : k.normal(out, fanIn),
        ...(bias ? { b: k.normal(out) } : {}),
        ...(residual ? { r: k.normal(...lead, out) } : {}),
      };
      return { inputs, forward: (x: Loose) => linear({ b: null, r: null, ...x }, {}) };
    },
  );

const mlpRow = (residual: boolean): OpRow =>
  row('mlp', residual ? 'residual' : 'no residual', (k) => {
    const [rows, dim, hidden] = [k.pick(...SIDES), k.pick(1, 3, 7, 16, 17, 33), k.pick(1, 5, 16, 31, 65)];
    const out = residual ? dim : k.pick(1, 13, 17);
    const inputs = {
      x: k.normal(rows, dim),
      w1: k.normal(hidden, dim),
      b1: k.normal(hidden),
      w2: k.normal(out, hidden),
      b2: k.normal(out),
      ...(residual ? { r: k.normal(rows, out) } : {}),
    };
    return { inputs, forward: (x: Loose) => mlp({ r: null, ...x }, {}) };
  });

/** Two layers and the norms that sum the gradients of both: of the second all of it, of the first, which is used again, a part. */
const summedRow: OpRow = row('linear', 'before norms that sum its gradient', (k) => {
  const [rows, cols, fanIn] = [k.pick(...SIDES), k.pick(1, 4, 17, 64), k.pick(1, 4, 13)];
  const [b, b2, scale, shift] = [0, 1, 2, 3].map(() => k.normal(cols));
  const layer = ({ x, w, scale, shift }: Loose, b: Tensor, r: Tensor | null) => {
    const { y } = linear({ x, w, b, r }, {});
    y.trace.columnSums.want(y);
    return { ...layernorm({ x: y.reshape(...y.shape), r: null, w: scale, b: shift }, { eps: 0.1 }), of: y };
  };
  const forward = (x: Loose): Record<string, Tensor> => {
    const first = layer(x, x.b, null);
    return { ...first, second: layer(x, x.b2, first.s).y };
  };
  return { inputs: { x: k.normal(rows, fanIn), w: k.normal(cols, fanIn), b, b2, scale, shift }, forward };
});

const layernormRow = (residual: boolean, use: 'y' | 's' | 'both'): OpRow =>
  row('layernorm', `${residual ? 'residual' : 'no residual'}, ${use === 'both' ? 'y and s' : `${use} alone`}`, (k) => {
    const [rows, cols] = [k.pick(...SIDES), k.pick(1, 3, 5, 17, 64, 131)];
    const inputs = {
      x: k.normal(rows, cols),
      ...(residual ? { r: k.normal(rows, cols) } : {}),
      w: k.normal(cols),
      b: k.normal(cols),
    };
    const forward = (x: Loose): Record<string, Tensor> => {
      const { y, s } = layernorm({ r: null, ...x }, { eps: 1e-6 });
      return use === 'y' ? { y } : use === 's' ? { s } : { y, s };
    };
    return { inputs, forward };
  });

const image = (k: Kit) => ({
  side: k.pick(1, 2, 3, 5),
  chans: k.pick(1, 3, 5),
  down: k.upTo(4),
  across: k.upTo(5),
  batch: k.upTo(3),
});

const mseRow = (normPix: boolean, l1 = false): OpRow =>
  row('maskedMse', `${normPix ? 'normalised' : 'raw'}${l1 ? ', l1' : ''}`, (k) => {
    const { side, chans, down, across, batch } = image(k);
    const inputs = {
      pred: k.normal(batch, down * across, side * side * chans),
      img: k.data(batch, chans, down * side, across * side),
      mask: k.bits(k.pick(0, 0.3, 0.75, 0.75, 1), batch, down * across),
    };
    return { inputs, forward: (x: Loose) => maskedMse(x, { patch_size: side, normPix, l1 }) };
  });

/** Of one dimension or three. */
const anyShape = (k: Kit): number[] => k.pick([k.pick(...SIDES)], [k.upTo(4), k.upTo(3), k.pick(...SIDES)]);
const anyMseRow = (label: string, shapeOf: (k: Kit) => number[], of: 'pred' | 'target' | 'both' = 'pred'): OpRow =>
  row('mse', label, (k) => {
    const shape = shapeOf(k);
    const [pred, target] = (['pred', 'target'] as const).map((name) =>
      of === 'both' || of === name ? k.normal(...shape) : k.data(...shape),
    );
    return { inputs: { pred, target }, forward: (x: Loose) => mse(x, {}) };
  });

const batchNormRow = (training: boolean): OpRow =>
  row('batchNorm', training ? 'training' : 'evaluation', (k) => {
    // Of two or three rows the normalised ones hardly depend on x: what is left of their gradient is rounding.
    const [rows, cols] = [3 + k.pick(...SIDES), k.pick(...SIDES)];
    const running = { running_mean: k.data(cols), running_var: k.bits(1, cols) };
    const attributes = { eps: 1e-6, momentum: 0.1, training };
    return { inputs: { x: k.normal(rows, cols), ...running }, forward: (x: Loose) => batchNorm(x, attributes) };
  });

const patchifyRow = (order: number, chosen: boolean): OpRow =>
  row('patchify', `order ${order}, ${chosen ? 'chosen' : 'all'} patches`, (k) => {
    const { side, chans, down, across, batch } = image(k);
    const shape = [batch, chans, down * side, across * side];
    const count = k.upTo(down * across);
    const ids = k.masking(batch, down * across, count).ids_keep;
    // Pixels of chosen patches are data: they have no gradient.
    const inputs: Record<string, Given> = chosen ? { img: k.data(...shape), ids } : { img: k.normal(...shape) };
    return { inputs, forward: (x: Loose) => patchify({ ids: null, ...x }, { patch_size: side, order }) };
  });

export const ROWS: readonly OpRow[] = [
  linearRow(false, false),
  linearRow(false, true),
  linearRow(true, false),
  linearRow(false, false, false),
  linearRow(true, false, false),
  summedRow,
  mlpRow(false),
  mlpRow(true),
  row('attention', '', (k) => {
    const [batch, tokens, heads, dim] = [k.upTo(2), k.pick(1, 2, 7, 15, 16, 17, 33), k.pick(1, 3), k.pick(4, 12, 16)];
    return {
      inputs: { qkv: k.normal(batch, tokens, 3 * heads * dim) },
      forward: (x: Loose) => attention(x, { heads }),
    };
  }),
  row('mul', '', (k) => {
    const shape = anyShape(k);
    return { inputs: { a: k.normal(...shape), b: k.normal(...shape) }, forward: (x: Loose) => mul(x, {}) };
  }),
  row('mul', 'by itself', (k) => ({
    inputs: { x: k.normal(...anyShape(k)) },
    forward: ({ x }: Loose) => mul({ a: x, b: x }, {}),
  })),
  row('relu', '', (k) => {
    const { shape, data } = k.normal(...anyShape(k));
    // Differences over the kink are no gradient.
    const x = given(shape, (i) => data[i] + 0.01 * Math.sign(data[i]));
    return { inputs: { x }, forward: (inputs: Loose) => relu(inputs, {}) };
  }),
  anyMseRow('', anyShape),
  anyMseRow('gradient of the target', anyShape, 'target'),
  anyMseRow('gradients of both', anyShape, 'both'),
  anyMseRow('in two stages', (k) => [k.pick(4099, 8200)]),
  row('attentionProbabilities', 'no gradient', (k) => {
    const [batch, tokens, heads, dim] = [k.upTo(2), k.pick(1, 2, 7, 15, 16, 17, 33), k.pick(1, 3), k.pick(4, 12, 16)];
    const first = k.upTo(tokens) - 1;
    const rows = k.upTo(tokens - first);
    return {
      inputs: { qkv: k.data(batch, tokens, 3 * heads * dim) },
      forward: ({ qkv }) => ({ p: attentionProbabilities(qkv, { heads, first, rows }) }),
    };
  }),
  layernormRow(false, 'y'),
  layernormRow(false, 's'),
  layernormRow(false, 'both'),
  layernormRow(true, 'y'),
  layernormRow(true, 's'),
  layernormRow(true, 'both'),
  row('embed', 'learned positions', (k) => {
    const [batch, patches, dim] = [k.pick(1, 2, 17, 33), k.pick(1, 2, 9, 16), k.pick(1, 3, 31, 65)];
    const keep = k.upTo(patches);
    const { ids_keep, ids_restore } = k.masking(batch, patches, keep);
    const learned = { emb: k.normal(batch, keep, dim), pos: k.normal(1, 1 + patches, dim), cls: k.normal(1, 1, dim) };
    return { inputs: { ...learned, ids_keep, ids_restore }, forward: (x: Loose) => embed(x, {}) };
  }),
  row('restore', 'learned positions', (k) => {
    const [batch, patches, dim] = [k.pick(1, 2, 5, 17), k.pick(1, 2, 9, 16), k.pick(1, 3, 31, 65)];
    const keep = k.pick(0, patches, k.upTo(patches));
    const { ids_shuffle, ids_restore } = k.masking(batch, patches, keep);
    const learned = {
      y: k.normal(batch, 1 + keep, dim),
      mask_token: k.normal(1, 1, dim),
      pos: k.normal(1, 1 + patches, dim),
    };
    return { inputs: { ...learned, ids_shuffle, ids_restore }, forward: (x: Loose) => restore(x, {}) };
  }),
  mseRow(true),
  mseRow(false),
  mseRow(true, true),
  row('add', '', (k) => {
    const shape = [k.upTo(5), k.pick(...SIDES)];
    return { inputs: { a: k.normal(...shape), b: k.normal(...shape) }, forward: (x: Loose) => add(x, {}) };
  }),
  row('add', 'to itself', (k) => ({
    inputs: { a: k.normal(k.pick(...SIDES)) },
    forward: ({ a }) => add({ a, b: a }, {}),
  })),
  row('gelu', '', (k) => ({
    inputs: { x: k.normal(k.upTo(5), k.pick(...SIDES)) },
    forward: (x: Loose) => gelu(x, {}),
  })),
  row('dropout', '', (k) => {
    const samples = k.upTo(5);
    const key = { rate: k.pick(0, 0.1, 0.5, 0.9), seed: k.upTo(2 ** 31), stream: k.upTo(99) };
    const inputs = { x: k.normal(samples, k.pick(...SIDES), k.upTo(3)), ids: k.words(samples), clock: k.words(2) };
    return { inputs, forward: (x: Loose) => dropout(x, key) };
  }),
  row('dropPath', '', (k) => {
    const shape = [k.upTo(5), k.pick(...SIDES), k.upTo(3)];
    const key = { rate: k.pick(0, 0.1, 0.5, 0.9), seed: k.upTo(2 ** 31), stream: k.upTo(99) };
    const inputs = { x: k.normal(...shape), r: k.normal(...shape), ids: k.words(shape[0]), clock: k.words(2) };
    return { inputs, forward: (x: Loose) => dropPath(x, key) };
  }),
  row('pool', '', (k) => ({
    inputs: { x: k.normal(k.upTo(4), 1 + k.pick(...SIDES), k.pick(...SIDES)) },
    forward: (x: Loose) => pool(x, {}),
  })),
  batchNormRow(true),
  batchNormRow(false),
  row('crossEntropy', 'probabilities', (k) => {
    const shape = [k.pick(...SIDES), k.pick(...SIDES)];
    const inputs = { logits: k.normal(...shape), targets: k.bits(0.3, ...shape) };
    return { inputs, forward: (x: Loose) => ({ loss: crossEntropy(x, {}).loss }) };
  }),
  row('classTargets', 'no gradient', (k) => {
    const [rows, classes, smoothing] = [k.pick(...SIDES), k.pick(...SIDES), k.pick(0, 0.1)];
    const labels = () => given([rows], () => k.upTo(classes + 1) - 2, 'i32', false);
    const mixed = { partner: labels(), lambda: k.bits(0.5, 1) };
    const inputs: Record<string, Given> = { labels: labels(), ...k.pick<object>({}, mixed) };
    return { inputs, forward: (x: Loose) => ({ targets: classTargets(x, { classes, smoothing }) }) };
  }),
  row('take', '', (k) => {
    const [batch, rows, dim] = [k.upTo(4), k.pick(1, 2, 9, 17), k.pick(1, 5, 33)];
    const chosen = k.permuted(rows).slice(0, k.upTo(rows));
    return { inputs: { x: k.normal(batch, rows, dim) }, forward: (x: Loose) => take(x, { rows: chosen }) };
  }),
  patchifyRow(0, false),
  patchifyRow(1, false),
  patchifyRow(0, true),
  row('randomMasking', 'no gradient', (k) => {
    const [batch, patches] = [k.upTo(4), k.pick(1, 2, 16, 31, 65, 257)];
    // Coarse noise, so that ties happen.
    const noise = given([batch, patches], () => k.upTo(patches) / 1024, 'f32', false);
    const keep = k.upTo(patches);
    return { inputs: { noise }, forward: (x) => ({ ...randomMasking(x.noise, keep) }) };
  }),
  row('uniformNoise', 'no gradient', (k) => {
    const [samples, n, seed, stream] = [k.upTo(5), k.pick(...SIDES), k.upTo(2 ** 31), k.upTo(99)];
    const inputs = { ids: k.words(samples), clock: k.words(2) };
    return { inputs, forward: (x) => ({ noise: uniformNoise(x.ids, x.clock, n, seed, stream) }) };
  }),
];
