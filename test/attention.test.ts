// `tesserae attention`: what is shown is the softmax of the model's own queries and keys, in f64 from the same weights; and what a user may ask.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Random, random } from '../kernels/random/random.ts';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { runReference } from '../engine/reference.ts';
import type { Tensor } from '../engine/tensor.ts';
import { attend, type LayerAttention } from '../mae/attention.ts';
import { explain } from '../mae/cli/explain.ts';
import { run } from '../mae/cli/program.ts';
import type { Dataset } from '../mae/data/dataset.ts';
import { loadSharp } from '../mae/data/sharp.ts';
import { saveClassifier } from '../mae/finetune/checkpoint.ts';
import { classifierWeights } from '../mae/model/classifier.ts';
import { checked, type MaeConfig, patchesOf } from '../mae/model/config.ts';
import { VisionEncoder } from '../mae/model/encoder.ts';
import { initialWeights } from '../mae/model/init.ts';
import { saveCheckpoint } from '../mae/train/checkpoint.ts';
import { said } from './support/said.ts';
import { TINY } from './support/tiny.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const rng = random(seed);
const folder = mkdtempSync(join(tmpdir(), 'tesserae-attention-'));
const at = (name: string): string => join(folder, name);
test.after(() => rmSync(folder, { recursive: true }));

/** Random weights large enough that attention is not even. */
function shaken(config: MaeConfig, r: Random): Map<string, Float32Array> {
  const weights = initialWeights(config, r.below(2 ** 31));
  for (const [name, v] of weights)
    weights.set(
      name,
      v.map((x) => (/qkv/.test(name) ? 4 * x + 0.1 * r.normal() : x)),
    );
  return weights;
}

const imagesOf = ({ img_size: [height, width], in_chans: channels }: MaeConfig, length: number): Dataset => ({
  name: 'noise',
  length,
  classes: null,
  channels,
  mean: Array(channels).fill(0.5),
  std: Array(channels).fill(0.25),
  read: async () => ({
    data: Uint8Array.from({ length: height * width * channels }, () => rng.below(256)),
    height,
    width,
    channels,
    label: -1,
  }),
});

/** softmax(q k^T / sqrt(dim)) of qkv (T, 3, heads, dim), a matrix a head, in f64. */
function softmaxes(qkv: ArrayLike<number>, heads: number, tokens: number): number[][][] {
  const dim = qkv.length / tokens / 3 / heads;
  const value = (token: number, which: number, head: number, d: number) =>
    qkv[((token * 3 + which) * heads + head) * dim + d];
  return Array.from({ length: heads }, (_, h) =>
    Array.from({ length: tokens }, (_, i) => {
      const scores = Array.from({ length: tokens }, (_, j) => {
        let sum = 0;
        for (let d = 0; d < dim; d++) sum += value(i, 0, h, d) * value(j, 1, h, d);
        return sum / Math.sqrt(dim);
      });
      const top = Math.max(...scores);
      const powers = scores.map((s) => Math.exp(s - top));
      const total = powers.reduce((a, b) => a + b, 0);
      return powers.map((p) => p / total);
    }),
  );
}

type Matrix = number[][];
const product = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => b[0].map((_, j) => row.reduce((sum, v, k) => sum + v * b[k][j], 0)));

for (const profile of ['simt', 'cpu'] as const) {
  test(`every head, layer and rollout is that of the same weights in f64, for any query (${profile})`, async () => {
    using device = await openDawn({ profile, raiseLimits: false });
    for (let round = 0; round < 3; round++) {
      using engine = new Engine(device);
      const [heads, dim, depth] = [1 + rng.below(4), [4, 12, 20][rng.below(3)], 1 + rng.below(3)];
      const config = checked({
        ...TINY,
        patch_size: 2,
        img_size: [2 * (1 + rng.below(7)), 2 * (1 + rng.below(7))],
        embed_dim: heads * dim,
        num_heads: heads,
        depth,
      });
      const where = `SEED=${seed}, ${JSON.stringify(config)}`;
      const weights = shaken(config, rng);
      const encoder = new VisionEncoder(engine, config, weights);
      const tokens = 1 + patchesOf(config);
      const query = round === 0 ? 0 : rng.below(tokens);
      const layers = Array.from({ length: depth }, (_, i) => i);
      const images = imagesOf(config, 2);
      const all: LayerAttention[][] = [];
      let img = new Float32Array();
      for await (const found of attend(engine, encoder, images, { layers, query, rollout: true, ids: [0] })) {
        all.push([...found.layers]);
        img = Float32Array.from(found.img);
      }
      assert.is(all.length, 1);
      // The same encoder traced on the f64 references, for its qkv alone.
      const program = engine.compile({ img: 'f32' }, (inputs) => {
        const seen: Record<string, Tensor> = {};
        encoder.encodeAll(inputs.img, { look: (block, qkv) => void (seen[block] = qkv) });
        return seen;
      });
      const shape = [1, config.in_chans, ...config.img_size];
      const { trace, outputs } = program.trace({ img: shape });
      const memory = new Map(encoder.parameters.slabs.map((s) => [s, new Float64Array(s.length)]));
      for (const [name, v] of encoder.parameters.variables)
        memory.get(v.slab)?.set(weights.get(name) as Float32Array, v.offset);
      const qkvs = runReference(trace, outputs, { img }, memory);
      let rolled: Matrix = Array.from({ length: tokens }, (_, i) =>
        Array.from({ length: tokens }, (_, j) => Number(i === j)),
      );
      for (const { layer, heads: rows, rollout } of all[0]) {
        const want = softmaxes(qkvs[layer], heads, tokens);
        assert.is(rows.length, heads);
        for (const [h, row] of rows.entries()) {
          assert.is(row.length, tokens);
          assert.ok(
            Math.abs(row.reduce((a, b) => a + b, 0) - 1) < 1e-5,
            `head ${h} of layer ${layer} sums to 1; ${where}`,
          );
          for (let t = 0; t < tokens; t++)
            assert.ok(
              Math.abs(row[t] - want[h][query][t]) < 2e-5,
              `layer ${layer}, head ${h}, token ${t}: ${row[t]}, in f64 ${want[h][query][t]}; ${where}`,
            );
        }
        // Abnar and Zuidema's product of matrices, the latest block on the left.
        const step = Array.from({ length: tokens }, (_, i) =>
          Array.from(
            { length: tokens },
            (_, j) => 0.5 * Number(i === j) + (0.5 * want.reduce((sum, head) => sum + head[i][j], 0)) / heads,
          ),
        );
        rolled = product(step, rolled);
        for (let t = 0; t < tokens; t++)
          assert.ok(
            Math.abs((rollout as Float64Array)[t] - rolled[query][t]) < 2e-5,
            `rollout to layer ${layer}, token ${t}; ${where}`,
          );
      }
      // Without rollout only the query's rows are computed, and they are the same.
      for await (const { layers: few } of attend(
        engine,
        encoder,
        { ...images, read: async () => bytesOf(img, config) },
        { layers: [depth - 1], query, rollout: false, ids: [0] },
      )) {
        assert.is(few[0].rollout, null);
        const [a, b] = [few[0].heads, all[0][depth - 1].heads];
        for (const [h, row] of a.entries())
          for (let t = 0; t < tokens; t++) assert.ok(Math.abs(row[t] - b[h][t]) < 1e-6, where);
      }
    }
  });
}

/** The bytes that gave these numbers. */
function bytesOf(img: Float32Array, { img_size: [height, width], in_chans: channels }: MaeConfig) {
  const data = new Uint8Array(img.length);
  for (let i = 0; i < img.length; i++) {
    const [c, pixel] = [Math.floor(i / height / width), i % (height * width)];
    data[pixel * channels + c] = Math.round(255 * (img[i] * 0.25 + 0.5));
  }
  return { data, height, width, channels, label: -1 };
}

test('the command draws what is asked for, and refuses the rest in one line', async () => {
  const sharp = await loadSharp();
  const raw = { width: 12, height: 8, channels: 3 } as const;
  await sharp(
    Uint8Array.from({ length: 288 }, () => rng.below(256)),
    { raw },
  )
    .png()
    .toFile(at('a.png'));
  writeFileSync(at('text.jpg'), 'not an image');
  const data = { name: 'noise', mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25], classes: null };
  const model = {
    config: TINY,
    weights: initialWeights(TINY, 1),
    data,
    maskRatio: 0.5,
    optimizer: null,
    training: null,
  };
  await saveCheckpoint(at('m.safetensors'), model);
  const command = (args: string) =>
    run(['attention', ...args.split(' ').map((a) => (/^(a\.png|text|m\.|out)/.test(a) ? at(a) : a))]);
  const sizes: number[] = [];
  for (const args of ['', '--layer all', '--layer 1 --from 5,3 --style map', '--no_rollout']) {
    const out = await said(() => command(`m.safetensors a.png ${args} --output out.png`.replace(/ +/g, ' ')));
    assert.match(out, /the picture is .*out\.png/, args);
    const { width = 0, height = 0 } = await sharp(at('out.png')).metadata();
    sizes.push(width * height);
  }
  assert.ok(sizes[3] < sizes[0], 'a tile less without the rollout');
  // A classifier that was fine-tuned on the mean of patches has no norm of the encoder, and needs none here.
  const config = { ...TINY, nb_classes: 2, pool: 'gap', drop_path: 0 } as const;
  const weights = classifierWeights(config, model, { seed: 1 });
  const classes = ['a', 'b'];
  const rest = { averages: null, optimizer: null, training: null };
  await saveClassifier(at('m.classifier.safetensors'), { config, weights, data: { ...data, classes }, ...rest });
  for (const name of ['m.safetensors', 'm.classifier.safetensors'])
    await said(() => command(`${name} a.png --output out.${name}.png`));
  const [ours, fine] = ['m.safetensors', 'm.classifier.safetensors'].map((name) => readFileSync(at(`out.${name}.png`)));
  assert.ok(ours.equals(fine));
  for (const [args, code, words] of [
    ['m.safetensors a.png --layer 3', 2, /--layer 3: the encoder has 2 blocks, 1 to 2/],
    ['m.safetensors a.png --layer last', 2, /--layer must be a whole number of at least 1/],
    [
      'm.safetensors a.png --from 12,0',
      2,
      /--from 12,0 lies outside of the image, which the model sees as 12 x 8 pixels/,
    ],
    ['m.safetensors a.png --from middle', 2, /--from must be cls or a pixel/],
    ['m.safetensors a.png --style round', 2, /--style must be one of overlay, map/],
    ['m.safetensors text.jpg', 1, /text\.jpg cannot be read/],
    ['text.jpg a.png', 1, /text\.jpg/],
  ] as const) {
    const told = await command(args).then(
      () => ({ line: 'no error', code: 0 }),
      (error: unknown) => explain(error),
    );
    assert.is(told.code, code, `${args}: ${told.line}`);
    assert.match(told.line, words);
    assert.match(told.line, /^tesserae: [^\n]+$/);
  }
});

test.run();
