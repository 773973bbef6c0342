// A training loop with the Trainer: an MAE on images of your own making. npx tesserae run mae/examples/trainer.ts
import { AdamW, Engine, Trainer } from 'tesserae/engine';
import { openDawn } from 'tesserae/engine/node';
import { configure, MaskedAutoencoder } from 'tesserae/mae';

using engine = new Engine(await openDawn());
const sizes = { embed_dim: 48, depth: 2, decoder_embed_dim: 32, decoder_depth: 1 };
const model = new MaskedAutoencoder(engine, configure('mae_vit_nano_patch4_32', sizes), 0);
const optimizer = new AdamW(model.parameters, { betas: [0.9, 0.95] });
const trainer = new Trainer(engine, {
  inputs: { img: 'f32', noise: 'f32' },
  optimizer,
  loss: ({ img, noise }) => model.forward(img, noise, 16).loss,
});

for (let step = 0; step < 20; step++) {
  const stripes = Float32Array.from({ length: 8 * 3 * 32 * 32 }, (_, i) => Math.sin((i % 32) * 0.4 + step));
  const img = { data: stripes, shape: [8, 3, 32, 32] };
  const noise = { data: Float32Array.from({ length: 8 * 64 }, Math.random), shape: [8, 64] };
  const [result] = await trainer.step({ img, noise }, { lr: 2e-3 });
  console.log('loss', (await result.read()).loss[0].toFixed(4));
}
