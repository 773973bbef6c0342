// A training loop with the Trainer: a masked autoencoder on images of your own making. Run it in a clone after set-up:
// npx tesserae run mae/examples/trainer.ts
import { AdamW, Engine, Trainer } from '../../engine/index.ts';
import { openDawn } from '../../engine/node/index.ts';
import { configure, MaskedAutoencoder } from '../index.ts';

using device = await openDawn();
using engine = new Engine(device);
const config = configure('mae_vit_nano_patch4_32', {
  embed_dim: 48,
  depth: 2,
  decoder_embed_dim: 32,
  decoder_depth: 1,
});
const model = new MaskedAutoencoder(engine, config, 0);
const optimizer = new AdamW(engine, model.parameters, { betas: [0.9, 0.95] });
const trainer = new Trainer(engine, {
  inputs: { img: 'f32', noise: 'f32' },
  optimizer,
  loss: ({ img, noise }) => model.forward(img, noise, 16).loss,
});

for (let step = 0; step < 20; step++) {
  const stripes = Float32Array.from({ length: 8 * 3 * 32 * 32 }, (_, i) => Math.sin((i % 32) * 0.4 + step));
  const noise = Float32Array.from({ length: 8 * 64 }, Math.random);
  const [result] = await trainer.step(
    { img: { data: stripes, shape: [8, 3, 32, 32] }, noise: { data: noise, shape: [8, 64] } },
    { lr: 2e-3 },
  );
  const { loss } = await result.read();
  console.log(`step ${step}  loss ${loss[0].toFixed(4)}`);
}
process.exit(0); // Dawn's threads would keep Node alive
