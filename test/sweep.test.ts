// Random configurations, one optimizer step each: the loss before and after it against a plain f64 autoencoder that shares no code with the
// engine. A slice here; `npm run test:sweep` does 200.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { type Random, random } from '../kernels/random/random.ts';
import { configure, decays, lenKeep, type MaeConfig, parameterSpecs, patchesOf } from '../mae/model/config.ts';
import { initialWeights } from '../mae/model/init.ts';
import { MaskedAutoencoder } from '../mae/model/model.ts';
import { pretrainStep } from '../mae/train/step.ts';
import { plainAdamW, plainMae } from './support/plain-mae.ts';

const count = Number(process.env.SWEEP ?? 20);
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const TOLERANCE = 1e-5;
/**
 * AdamW's first step goes by the gradient's sign, whatever its size. An element that f32 cannot tell from zero goes either way, which the loss
 * sees by the square of the rate: at 1e-3 one configuration in some hundred passes the tolerance by that alone.
 */
const LR = 1e-4;
const DECAY = 0.05;

interface Case {
  readonly config: MaeConfig;
  readonly batch: number;
  readonly ratio: number;
  readonly checkpoint_blocks: boolean;
}

function draw(rng: Random, index: number): Case {
  const pick = <T>(...choices: readonly T[]): T => choices[rng.below(choices.length)];
  const patch_size = pick(1, 2, 3, 4, 5, 7);
  const in_chans = 1 + rng.below(8);
  const [down, across] = [1 + rng.below(5), 2 + rng.below(5)];
  const [num_heads, decoder_num_heads] = [1 + rng.below(4), 1 + rng.below(4)];
  const config = configure('mae_vit_nano_patch4_32', {
    patch_size,
    in_chans,
    img_size: [down * patch_size, across * patch_size],
    num_heads,
    decoder_num_heads,
    embed_dim: num_heads * pick(4, 8, 12, 20),
    decoder_embed_dim: decoder_num_heads * pick(4, 8, 16),
    depth: 1 + rng.below(3),
    decoder_depth: 1 + rng.below(2),
    // One value has no variance.
    norm_pix_loss: patch_size ** 2 * in_chans > 1 && rng.below(2) === 1,
    pos_embed: pick('sincos', 'sincos', 'learned'),
  });
  const patches = down * across;
  // The first two are the ends: 0.05, and one patch that stays.
  const ends = [0.05, 1 - 1.5 / patches];
  const ratio = ends[index] ?? Math.min(0.05 + 0.95 * rng.uniform(), ends[1]);
  return { config, batch: pick(1, 1, 2, 3, 5), ratio, checkpoint_blocks: rng.below(4) === 0 };
}

function batchOf(rng: Random, { config, batch, ratio }: Case) {
  const { in_chans, img_size } = config;
  const img = Float32Array.from({ length: batch * in_chans * img_size[0] * img_size[1] }, () => rng.normal());
  const noise = Float32Array.from({ length: batch * patchesOf(config) }, () => rng.uniform());
  return { img, noise, batch, keep: lenKeep(patchesOf(config), ratio) };
}

test('the plain autoencoder has the derivative that its loss has', () => {
  const rng = random(seed, 9);
  for (let i = 0; i < 3; i++) {
    const drawn = draw(rng, i);
    const weights = new Map([...initialWeights(drawn.config, seed)].map(([n, w]) => [n, Float64Array.from(w)]));
    const data = batchOf(rng, drawn);
    const { grads } = plainMae(drawn.config, weights, data);
    const direction = new Map([...weights].map(([name, w]) => [name, w.map(() => rng.normal())]));
    const moved = (h: number) =>
      new Map([...weights].map(([n, w]) => [n, w.map((x, k) => x + h * (direction.get(n) as Float64Array)[k])]));
    const h = 1e-6;
    const slope =
      (plainMae(drawn.config, moved(h), data).loss - plainMae(drawn.config, moved(-h), data).loss) / (2 * h);
    let dot = 0;
    for (const [name, g] of grads)
      dot += g.reduce((sum, x, k) => sum + x * (direction.get(name) as Float64Array)[k], 0);
    assert.ok(
      Math.abs(slope - dot) <= 1e-6 * Math.max(1, Math.abs(dot)),
      `${slope} by differences, ${dot} by the tape`,
    );
  }
});

test(`${count} random configurations: losses before and after a step within ${TOLERANCE}`, async () => {
  // What the adapter would choose, and what all can: the latter's programs are quicker to generate.
  const devices = [await openDawn({ raiseLimits: false }), await openDawn({ profile: 'simt', raiseLimits: false })];
  const engines = devices.map((device) => new Engine(device));
  let worst = 0;
  for (let i = 0; i < count; i++) {
    const rng = random(seed, 10 + i);
    const drawn = draw(rng, i);
    const { config, batch, ratio, checkpoint_blocks } = drawn;
    const engine = engines[i % 4 === 0 ? 0 : 1];
    const say = `#${i} ${JSON.stringify(drawn)}`;
    const weights = initialWeights(config, seed + i);
    const data = batchOf(rng, drawn);
    const images = engine.variable('images', [batch, config.in_chans, ...config.img_size], { data: data.img });
    const noise = engine.variable('noise', [batch, patchesOf(config)], { data: data.noise });
    const model = new MaskedAutoencoder(engine, config, weights);
    const options = { mask_ratio: ratio, seed, weight_decay: DECAY, noise: () => noise, checkpoint_blocks };
    const trainer = pretrainStep(engine, model, () => images, options);
    const inputs = {
      ids: { data: new Uint32Array(batch), shape: [batch] },
      clock: { data: new Uint32Array(2), shape: [2] },
    };
    const loss = async (): Promise<number> => (await (await trainer.step(inputs, { lr: LR }))[0].read()).loss[0];
    const [before, after] = [await loss(), await loss()];

    const first = plainMae(config, weights, data);
    const shapes = new Map(parameterSpecs(config).map((spec) => [spec.name, spec]));
    const trained = new Map([...weights].filter(([name]) => shapes.get(name)?.trainable !== false));
    const decay = (name: string): number => (decays(shapes.get(name) as { name: string; shape: number[] }) ? DECAY : 0);
    const stepped = plainAdamW(trained, first.grads, { lr: LR, decay, betas: [0.9, 0.95] });
    const second = plainMae(config, new Map([...weights, ...stepped] as [string, ArrayLike<number>][]), data);
    for (const [what, got, want] of [
      ['before', before, first.loss],
      ['after', after, second.loss],
    ] as const) {
      const off = Math.abs(got - want) / Math.abs(want);
      worst = Math.max(worst, off);
      assert.ok(off <= TOLERANCE, `${say}: the loss ${what} the step is ${got}, should be ${want}`);
    }
    assert.ok(
      Math.abs(second.loss - first.loss) > 10 * TOLERANCE * first.loss,
      `${say}: the step did not change the loss`,
    );
    for (const variable of [images, noise]) engine.release(variable);
  }
  console.log(`${count} configurations, worst ${worst.toExponential(2)}`);
});

test.run();
