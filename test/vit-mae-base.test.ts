// The vector that transformers publishes for facebook/vit-mae-base (tests/models/vit_mae: test_inference_for_pretraining): its logits for one photograph
// and one noise. Runs where VIT_MAE_BASE names a folder with the weights; without, only what the vector is made from is checked.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { mersenne } from 'pure-rand/generator/mersenne';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { loadSharp } from '../mae/data/sharp.ts';
import { MaskedAutoencoder } from '../mae/model/model.ts';
import { loadWeights } from '../mae/weights/node.ts';
import { pilBilinear } from './support/pil-bilinear.ts';

const SIDE = 224;
const PATCHES = 196;
const KEPT = 49;
/** logits[0, :3, :3], within 1e-4. */
const LOGITS = [
  [-0.0548, -1.7023, -0.9325],
  [0.3721, -0.567, -0.2233],
  [0.8235, -1.3878, -0.3524],
];

/** numpy's `random.seed(seed); random.uniform(size=count)`: 53 bits of two draws of MT19937. */
function numpyUniform(seed: number, count: number): number[] {
  const random = mersenne(seed);
  const draw = (): number => random.next() >>> 0;
  return Array.from({ length: count }, () => ((draw() >>> 5) * 2 ** 26 + (draw() >>> 6)) / 2 ** 53);
}

test('noise and resize are those of numpy and PIL', () => {
  const noise = numpyUniform(2, PATCHES);
  const near = (got: number, want: number): void => assert.ok(Math.abs(got - want) < 1e-8, `${got} for ${want}`);
  for (const [i, want] of [0.4359949, 0.02592623, 0.54966248, 0.43532239, 0.4203678].entries()) near(noise[i], want);
  near(noise[194], 0.20084234);
  near(noise[195], 0.38833418);
  const bytes = Uint8Array.from({ length: 5 * 7 * 3 }, (_, i) => (i * 37) % 256);
  // PIL 9.4: Image.resize((4, 3), BILINEAR).
  const small = [
    [62, 87, 124, 163, 67, 104, 132, 169, 73, 112, 149, 174],
    [76, 101, 138, 177, 81, 118, 146, 183, 87, 126, 163, 188],
    [83, 115, 152, 115, 95, 132, 160, 121, 101, 140, 170, 126],
  ];
  assert.equal([...pilBilinear(bytes, [5, 7], [3, 4])], small.flat());
  const large = [...pilBilinear(bytes, [5, 7], [6, 9])];
  assert.equal(
    large.slice(0, 27).join(),
    '0,37,74,74,111,148,160,84,121,190,28,65,77,114,151,163,200,38,107,144,68,80,117,154,154,191,228',
  );
  assert.equal(large.slice(-6).join(), '116,153,105,190,227,8');
});

const folder = process.env.VIT_MAE_BASE;
const PHOTOGRAPH = '000000039769';
const picture =
  folder && ['.jpg', '.png'].map((ending) => join(folder, PHOTOGRAPH + ending)).find((path) => existsSync(path));

if (!folder || !picture) {
  console.log(
    `VIT_MAE_BASE must name a folder with config.json and model.safetensors of https://huggingface.co/facebook/vit-mae-base and ${PHOTOGRAPH}.jpg of http://images.cocodataset.org/val2017`,
  );
} else {
  test(`logits of ${folder}`, async () => {
    const loaded = await loadWeights(folder);
    assert.is(loaded.kind, 'autoencoder');
    if (loaded.kind !== 'autoencoder') return;
    const { config, weights, data } = loaded;
    const sharp = await loadSharp();
    const { data: raw, info } = await sharp(picture)
      .removeAlpha()
      .toColourspace('srgb')
      .raw()
      .toBuffer({ resolveWithObject: true });
    const bytes = pilBilinear(new Uint8Array(raw), [info.height, info.width], [SIDE, SIDE]);
    const img = new Float32Array(3 * SIDE * SIDE);
    for (let i = 0; i < SIDE * SIDE; i++)
      for (let c = 0; c < 3; c++) img[c * SIDE * SIDE + i] = (bytes[3 * i + c] / 255 - data.mean[c]) / data.std[c];
    using engine = new Engine(await openDawn());
    const model = new MaskedAutoencoder(engine, config, weights);
    const program = engine.compile({ img: 'f32', noise: 'f32' }, ({ img: x, noise }) => ({
      pred: model.forward(x, noise, KEPT).pred,
    }));
    const noise = Float32Array.from(numpyUniform(2, PATCHES));
    const inputs = { img: { data: img, shape: [1, 3, SIDE, SIDE] }, noise: { data: noise, shape: [1, PATCHES] } };
    const { pred } = await (await program.run(inputs)).read();
    for (const [l, row] of LOGITS.entries())
      for (const [i, want] of row.entries()) {
        const got = pred[l * 768 + i];
        assert.ok(Math.abs(got - want) < 1e-4, `logits[0, ${l}, ${i}] is ${got}, published is ${want}`);
      }
  });
}

test.run();
