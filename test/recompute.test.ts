// Blocks computed again for the backward pass: the same bits as when everything is kept, in less memory.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import type { Tensor } from '../engine/tensor.ts';
import { PRECISIONS } from '../engine/trace.ts';
import { random } from '../kernels/random/random.ts';
import { configure, patchesOf } from '../mae/model/config.ts';
import { MaskedAutoencoder } from '../mae/model/model.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const config = configure('mae_vit_nano_patch4_32', { depth: 3, dropout: 0.1 });
const batch = 4;

for (const precision of PRECISIONS) {
  test(`${precision}: gradients keep their bits, dropout included, and transients shrink (SEED=${seed})`, async () => {
    using device = await openDawn({ raiseLimits: false });
    using engine = new Engine(device, { precision });
    const model = new MaskedAutoencoder(engine, config, seed);
    const rng = random(seed);
    const draw = (...shape: number[]) => ({
      shape,
      data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => rng.uniform()),
    });
    const inputs = {
      img: draw(batch, config.in_chans, ...config.img_size),
      noise: draw(batch, patchesOf(config)),
      ids: { shape: [batch], data: Uint32Array.of(3, 1, 4, 15) },
      clock: { shape: [2], data: Uint32Array.of(0, 7) },
    };
    const shapes = Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, shape])) as {
      [N in keyof typeof inputs]: number[];
    };
    const program = (checkpointBlocks: boolean) =>
      engine.compile({ img: 'f32', noise: 'f32', ids: 'u32', clock: 'u32' }, ({ img, noise, ids, clock }, t) => {
        const { loss } = model.forward(img, noise, 9, { checkpointBlocks, dropout: { ids, clock, seed } });
        const grads = [...t.backward(loss)].map(([v, grad]) => [v.name, grad] as const);
        return { loss, ...Object.fromEntries(grads) } as Record<string, Tensor>;
      });
    const [kept, again] = [program(false), program(true)];
    const [want, got] = [await (await kept.run(inputs)).read(), await (await again.run(inputs)).read()];
    assert.equal(Object.keys(got).sort(), Object.keys(want).sort());
    assert.ok(Object.keys(want).length > model.parameters.trainable.length);
    for (const [name, data] of Object.entries(want)) {
      assert.ok(
        data.every((x) => Number.isFinite(x)),
        name,
      );
      const bits = (x: typeof data) => new Uint32Array(x.slice().buffer);
      assert.equal(bits(got[name]), bits(data), name);
    }
    const [before, after] = [kept.plan(shapes), again.plan(shapes)];
    // In f16 the copies of the weights, which stay, weigh more: activations have half the bytes.
    const most = (precision === 'f32' ? 0.75 : 0.85) * before.transientBytes;
    assert.ok(after.transientBytes < most, `${after.transientBytes} of ${before.transientBytes}`);
    assert.ok(
      after.flops > 1.2 * before.flops && after.flops < 1.4 * before.flops,
      `${after.flops} of ${before.flops}`,
    );
  });
}

test.run();
