// How many dispatches one more transformer block adds to a step, forward and backward. No GPU: counted in what is recorded.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Engine } from '../../engine/engine.ts';
import { type Precision, Trace } from '../../engine/trace.ts';
import type { Profile } from '../../kernels/kernel.ts';
import { configure, type MaeConfig } from '../../mae/model/config.ts';
import { MaskedAutoencoder } from '../../mae/model/model.ts';
import { traitsOf } from '../../engine/testing/gradient.ts';

const limits = { maxStorageBufferBindingSize: 2 ** 27, maxBufferSize: 2 ** 28 };
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
 * Backward, a weight gradient that is summed in parts takes a dispatch more. On a GPU those of two encoder products are,
 * having few tiles (qkv, proj), and of all four decoder products.
 */
const PER_BLOCK: Record<Profile, Record<'depth' | 'decoder_depth', [forward: number, backward: number]>> = {
  cpu: { depth: [7, 14], decoder_depth: [7, 14] },
  simt: { depth: [7, 16], decoder_depth: [7, 18] },
  matrix: { depth: [7, 16], decoder_depth: [7, 18] },
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

test.run();
