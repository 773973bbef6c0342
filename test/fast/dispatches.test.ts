// How many dispatches one more transformer block adds to a step, forward and backward. No GPU: counted in what is recorded.
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../../engine/engine.ts';
import type { Device } from '../../engine/device.ts';
import { add } from '../../engine/ops/elementwise.ts';
import { linear } from '../../engine/ops/linear.ts';
import { maskedMse } from '../../engine/ops/masked-mse.ts';
import type { Plan } from '../../engine/plan.ts';
import { numel, Slab, Variable } from '../../engine/tensor.ts';
import { type Call, type Precision, Trace } from '../../engine/trace.ts';
import type { Profile } from '../../kernels/kernel.ts';
import { configure, type MaeConfig } from '../../mae/model/config.ts';
import { MaskedAutoencoder } from '../../mae/model/model.ts';
import { pretrainStep } from '../../mae/train/step.ts';
import { traitsOf } from '../../engine/testing/gradient.ts';

const limits = { maxStorageBufferBindingSize: 2 ** 31, maxBufferSize: 2 ** 32 };
/** All that a model without weights asks of an engine. */
const engine = { device: { gpu: { limits } } } as unknown as Engine;

const small = { patch_size: 4, embed_dim: 192, num_heads: 3, decoder_embed_dim: 128, decoder_num_heads: 4 };

/** Calls of a step over 64 pictures of 32 x 32, a quarter of the 64 patches kept. */
function calls(
  depths: Partial<MaeConfig>,
  profile: Profile,
  precision: Precision,
): [forward: number, backward: number] {
  const model = new MaskedAutoencoder(
    engine,
    configure('mae_vit_tiny_patch2_32', { ...small, depth: 1, decoder_depth: 1, ...depths }),
  );
  const t = new Trace(traitsOf(profile), precision);
  const img = t.input('img', [64, 3, 32, 32], 'f32');
  const { loss } = model.forward(img, t.input('noise', [64, 64], 'f32'), 16);
  const forward = t.calls.length;
  t.backward(loss);
  return [forward, t.calls.length - forward];
}

/**
 * Backward, both norms finish their gradients in one dispatch. A weight gradient that is summed in parts takes another: on a GPU those of all
 * four products, having few tiles; two of them are finished at once.
 */
const PER_BLOCK: Record<Profile, Record<'depth' | 'decoder_depth', [forward: number, backward: number]>> = {
  cpu: { depth: [7, 13], decoder_depth: [7, 13] },
  simt: { depth: [7, 15], decoder_depth: [7, 15] },
  matrix: { depth: [7, 15], decoder_depth: [7, 15] },
};

for (const [profile, stacks] of Object.entries(PER_BLOCK) as [Profile, (typeof PER_BLOCK)[Profile]][]) {
  for (const precision of ['f32', 'f16'] as const) {
    test(`${profile}, ${precision}: dispatches of a block`, () => {
      for (const [stack, want] of Object.entries(stacks)) {
        const [one, two] = [1, 2].map((depth) => calls({ [stack]: depth }, profile, precision));
        assert.equal([two[0] - one[0], two[1] - one[1]], want, stack);
      }
    });
  }
}

/** A card with tensor cores, as far as the sizes of products go by it. */
const CARD = {
  ...traitsOf('matrix'),
  matrices: [{ M: 16, N: 16, K: 16 }],
  subgroupMinSize: 32,
  subgroupMaxSize: 32,
  maxWorkgroupStorageBytes: 49152,
  maxWorkgroupInvocations: 1024,
};

test('matrix, large: what a block adds where bias gradients are summed beside the products of their weights', () => {
  const counted = (depths: Partial<MaeConfig>, checkpointBlocks = false): Map<string, number> => {
    const t = new Trace(CARD, 'f16');
    const model = new MaskedAutoencoder(
      engine,
      configure('mae_vit_base_patch16', { depth: 1, decoder_depth: 1, ...depths }),
    );
    const img = t.input('img', [64, 3, 224, 224], 'f32');
    t.backward(model.forward(img, t.input('noise', [64, 196], 'f32'), 49, { checkpointBlocks }).loss);
    const counts = new Map<string, number>([['all', t.calls.length]]);
    for (const { kernel } of t.calls) counts.set(kernel.name, (counts.get(kernel.name) ?? 0) + 1);
    return counts;
  };
  for (const [stack, want] of [
    ['depth', { all: 27, 'reduce.columns': 3, 'gemm.finish': 2, 'layernorm.backward': 2 }],
    ['decoder_depth', { all: 24, 'reduce.columns': 3, 'gemm.finish': 2, 'layernorm.backward': 2 }],
  ] as const) {
    const [one, two] = [1, 2].map((depth) => counted({ [stack]: depth }));
    const added = Object.keys(want).map((name) => [name, (two.get(name) ?? 0) - (one.get(name) ?? 0)]);
    assert.equal(Object.fromEntries(added), want, stack);
    // Blocks that are computed again find the same sums.
    const again = counted({ [stack]: 2 }, true);
    for (const name of ['reduce.columns', 'gemm.finish']) assert.is(again.get(name), two.get(name), name);
  }
});

test('the step of ViT-B/16 has as many dispatches, and moves as much, as is written of it', () => {
  const traits = { ...CARD, maxBindingBytes: limits.maxStorageBufferBindingSize };
  const device = { traits, gpu: { limits }, picks: new Map() } as unknown as Device;
  const [small, large] = [64, 256].map((batch) => {
    const planner = new Engine(device, { planOnly: true });
    const images = planner.variable('images', [batch, 3, 224, 224]);
    const model = new MaskedAutoencoder(planner, configure('mae_vit_base_patch16'));
    const options = { mask_ratio: 0.75, seed: 0, weight_decay: 0.05 };
    return pretrainStep(planner, model, () => images, options).plan({ ids: [batch], clock: [2] });
  });
  const page = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8').replace(/\s+/g, ' ');
  const gb = ({ traffic }: Plan) => (traffic / 1e9).toFixed(1);
  const norms = page('kernels/layernorm/layernorm.md');
  assert.match(norms, `${small.dispatches} dispatches instead of 596 at batch 64, ${large.dispatches} instead of 562`);
  assert.match(norms, `move ${gb(small)} GB instead of 27.2, and ${gb(large)} instead of 83.0`);
  // In several groups bias gradients are begun; in one is finished what norms and gathers left.
  const begun = ({ kernel, problem }: Call): boolean => kernel.name === 'reduce.columns' && Number(problem.groups) > 1;
  const sums = small.steps.filter(({ call }) => begun(call)).length;
  assert.match(page('bench/README.md'), `leaves ${sums} of ${small.dispatches}`);
});

test('what waits for another is there before anything reads it, and an odd one is not forgotten', () => {
  const t = new Trace(traitsOf('simt'));
  const weights = new Variable('w', [4, 8], new Slab('w', 'f32', 32), 0, true);
  const x = t.input('x', [4096, 8], 'f32');
  const b = t.constant(new Float32Array(4), [4]);
  // The same weight three times: its gradients are added, and the sums read them.
  const y = [0, 1, 2].map(() => linear({ x, w: t.use(weights), b, r: null }, {}).y);
  const { loss } = maskedMse(
    {
      pred: add({ a: add({ a: y[0], b: y[1] }, {}).y, b: y[2] }, {}).y,
      img: t.input('img', [1024, 1, 4, 4], 'f32'),
      mask: t.input('mask', [1024, 4], 'f32'),
    },
    { patch_size: 2, normPix: false },
  );
  const grad = t.backward(loss).get(weights);
  const written = new Set<object>();
  for (const { bindings, writes } of t.calls) {
    for (const [name, tensor] of Object.entries(bindings)) {
      const { storage } = tensor ?? {};
      if (storage && !writes.includes(name) && storage.home === null) assert.ok(written.has(storage), name);
    }
    for (const name of writes) written.add(bindings[name]?.storage as object);
  }
  assert.ok(written.has(grad?.storage as object));
  const count = (of: string): number => t.calls.filter(({ kernel }) => kernel.name === of).length;
  assert.equal([count('gemm.finish'), count('gemm.reduce')], [1, 1]);
});

test('matrix: a large bias gradient is summed beside the product of its weight, a small one by it', () => {
  const traits = { ...traitsOf('matrix'), matrices: [{ M: 8, N: 8, K: 8 }] };
  // So wide a layer that it is large although its product has too few rows to be split: nothing else could finish the sums.
  for (const [rows, out, apart, sums] of [
    [64, 768, false, 0],
    [12800, 768, true, 1],
    [480, 6912, true, 2],
  ] as const) {
    const t = new Trace(traits);
    const variable = (name: string, shape: number[]) =>
      new Variable(name, shape, new Slab(name, 'f32', numel(shape)), 0, true);
    const [w, b] = [variable('w', [out, 48]), variable('b', [out])];
    const x = t.input('x', [rows, 48], 'f32');
    const edge = Math.sqrt(out / 3);
    const { loss } = maskedMse(
      {
        pred: linear({ x, w: t.use(w), b: t.use(b), r: null }, {}).y,
        img: t.input('img', [rows, 3, edge, edge], 'f32'),
        mask: t.input('mask', [rows, 1], 'f32'),
      },
      { patch_size: edge, normPix: false },
    );
    assert.equal(t.backward(loss).get(b)?.shape, [out]);
    assert.is(
      t.calls.some(({ kernel, problem }) => kernel.name === 'gemm' && problem.DBIAS),
      !apart,
    );
    assert.is(t.calls.filter(({ kernel }) => kernel.name === 'reduce.columns').length, sums);
  }
});

test.run();
