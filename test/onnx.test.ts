// Exported graphs in ONNX Runtime beside our own output, within 1e-4: all three graphs, both ways to say what is removed, dynamic batches, weights
// beside the graph. `npm run test:onnx` also takes ViT-B/16, an image that is not square at that size, and ViT-H/14 with more than 2 GB of weights.
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { AtomicFile } from '../engine/node/atomic-file.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { toFloat32 } from '../engine/rawtensor.ts';
import { parseSafetensors } from '../engine/safetensors.ts';
import type { HostTensor } from '../engine/tensor.ts';
import { random } from '../kernels/random/random.ts';
import { Classifier, type ClassifierConfig, classifierWeights } from '../mae/model/classifier.ts';
import { configure, lenKeep, type MaeConfig, patchesOf } from '../mae/model/config.ts';
import { FEATURES, featuresOf } from '../mae/model/features.ts';
import { MaskedAutoencoder } from '../mae/model/model.ts';
import {
  type Exported,
  exportClassifier,
  exportEncoder,
  exportMae,
  MOST_INLINE,
  weightBytes,
  writeModel,
} from '../mae/onnx/export.ts';
import { loadWeights } from '../mae/weights/node.ts';
import { tiles } from '../mae/pictures/panel.ts';
import { onnxRuntime, runSession, type Session } from './support/onnxruntime.ts';
import { shaken, TINY, tinyBatch } from './support/tiny.ts';

const LARGE = process.env.LARGE === '1';
const TOLERANCE = 1e-4;
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const ort = await onnxRuntime();
const withRuntime = ort ? test : test.skip;
const device = await openDawn({ raiseLimits: true });
const folder = mkdtempSync(join(tmpdir(), 'tesserae-onnx-'));
test.after(() => {
  device.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const data = { mean: [0.5, 0.4, 0.3], std: [0.2, 0.25, 0.3] };

/** Writes a graph to a file, its weights beside it where they must be or are asked to, and opens it. */
async function session({ graph, info }: Exported, apart = false): Promise<Session> {
  const path = join(folder, `${info.name}.onnx`);
  const external = apart || weightBytes(graph) > MOST_INLINE;
  {
    await using model = await AtomicFile.create(path);
    await using weights = external ? await AtomicFile.create(`${path}.data`) : null;
    const written = await writeModel(
      graph,
      info,
      model,
      weights ? { location: `${info.name}.onnx.data`, sink: weights } : undefined,
    );
    await weights?.commit();
    await model.commit();
    assert.is(statSync(path).size, written.model);
    if (external) {
      assert.is(statSync(`${path}.data`).size, written.external);
      assert.ok(written.model < 10e6, `the graph alone has ${written.model} bytes`);
    }
  }
  const opened = await ort!.InferenceSession.create(path, { logSeverityLevel: 2 });
  assert.equal(
    opened.inputNames,
    graph.inputs.map(({ name }) => name),
  );
  assert.equal(
    opened.outputNames,
    graph.outputs.map(({ name }) => name),
  );
  return opened;
}

type Found = Awaited<ReturnType<typeof runSession>>;

/** Every result has the shape that the graph declares, with this batch. */
function checkShapes({ outputMetadata }: Session, found: Found, batch: number): void {
  for (const { name, shape } of outputMetadata)
    assert.equal(
      found[name].shape,
      shape.map((size) => (size === 'batch' ? batch : size)),
      name,
    );
}

/** The greatest difference of any element, which must be below 1e-4. */
function agree(what: string, got: ArrayLike<number>, want: ArrayLike<number>): number {
  assert.is(got.length, want.length, what);
  let [most, size] = [0, 0];
  for (let i = 0; i < want.length; i++) {
    most = Math.max(most, Number.isFinite(got[i]) ? Math.abs(got[i] - want[i]) : Number.POSITIVE_INFINITY);
    size = Math.max(size, Math.abs(want[i]));
  }
  assert.ok(size > 0.1, `${what} is nearly nothing`);
  assert.ok(most < TOLERANCE, `${what}: off by ${most} of ${size}; SEED=${seed}`);
  return most;
}

const shapeOf = (x: ArrayLike<number>, ...shape: number[]): HostTensor => ({ data: x as Float32Array, shape });

/** What the engine makes of a batch: features of the whole images, and all that the autoencoder gives. */
async function ours(config: MaeConfig, weights: ReadonlyMap<string, Float32Array>, batch: number, keep: number) {
  using engine = new Engine(device);
  const model = new MaskedAutoencoder(engine, config, weights);
  const given = tinyBatch(batch, seed, config);
  const features = engine.compile({ img: 'f32' }, ({ img }) => ({
    all: model.encodeAll(img),
    ...featuresOf(model, img, FEATURES),
  }));
  const whole = engine.compile({ img: 'f32', noise: 'f32' }, ({ img, noise }) => {
    const { pred, mask, ids_keep, ids_restore } = model.forward(img, noise, keep);
    return { pred, mask, ids_keep, ids_restore };
  });
  const encoded = await (await features.run({ img: given.img })).read();
  const rebuilt = await (await whole.run(given)).read();
  return { given, encoded, rebuilt };
}

async function checkEncoder(
  config: MaeConfig,
  weights: ReadonlyMap<string, Float32Array>,
  own: Awaited<ReturnType<typeof ours>>,
  apart = false,
): Promise<number> {
  const opened = await session(exportEncoder(config, weights, data), apart);
  const { img } = own.given;
  const found = await runSession(ort!, opened, { pixel_values: img });
  checkShapes(opened, found, img.shape[0]);
  await opened.release();
  const { all, cls, gap, patch_tokens } = own.encoded;
  return Math.max(
    agree('last_hidden_state', found.last_hidden_state.data, all),
    agree('cls', found.cls.data, cls),
    agree('gap', found.gap.data, gap),
    agree('patch_tokens', found.patch_tokens.data, patch_tokens),
  );
}

async function checkMae(
  config: MaeConfig,
  weights: ReadonlyMap<string, Float32Array>,
  own: Awaited<ReturnType<typeof ours>>,
  masks: 'noise' | 'ids',
  maskRatio: number,
): Promise<number> {
  const opened = await session(exportMae(config, weights, data, { masks, maskRatio }));
  const { img, noise } = own.given;
  const [batch, L] = noise.shape;
  const { pred, mask, ids_keep, ids_restore } = own.rebuilt;
  const how: Record<string, HostTensor> =
    masks === 'noise'
      ? { noise }
      : { ids_keep: shapeOf(ids_keep, batch, ids_keep.length / batch), ids_restore: shapeOf(ids_restore, batch, L) };
  const found = await runSession(ort!, opened, { pixel_values: img, ...how });
  checkShapes(opened, found, batch);
  await opened.release();
  assert.equal(Array.from(found.mask.data), Array.from(mask));
  if (masks === 'noise') assert.equal(Array.from(found.ids_restore.data), Array.from(ids_restore));
  // The picture that our panels draw is the reconstruction, in bytes.
  const size = img.data.length / batch;
  const of = <T extends ArrayLike<number>>(x: T, i: number): Float32Array =>
    Float32Array.from(x).subarray((i * x.length) / batch, ((i + 1) * x.length) / batch);
  for (let i = 0; i < batch; i++) {
    const [, , picture] = tiles({ img: of(img.data, i), pred: of(pred, i), mask: of(mask, i) }, { config, ...data });
    const area = config.img_size[0] * config.img_size[1];
    for (let at = 0; at < size; at++) {
      const c = Math.floor(at / area);
      const value =
        255 * Math.min(1, Math.max(0, found.reconstruction.data[i * size + at] * data.std[c] + data.mean[c]));
      assert.ok(Math.abs(value - picture.data[3 * (at % area) + c]) < 0.6, `pixel ${at} of image ${i}`);
    }
  }
  return agree('logits', found.logits.data, pred);
}

async function checkAll(config: MaeConfig, batch: number, maskRatio = 0.75): Promise<string> {
  const weights = shaken(config, random(seed, 1));
  const own = await ours(config, weights, batch, lenKeep(patchesOf(config), maskRatio));
  const off = [
    await checkEncoder(config, weights, own),
    await checkMae(config, weights, own, 'noise', maskRatio),
    await checkMae(config, weights, own, 'ids', maskRatio),
  ];
  return `off by at most ${Math.max(...off).toExponential(1)}`;
}

const nano = configure('mae_vit_nano_patch4_32');
for (const batch of [1, 3]) {
  withRuntime(`a small model that is not square, normalised targets, batch ${batch}`, async () => {
    console.log(await checkAll(TINY, batch, 0.5));
  });
  withRuntime(`nano, batch ${batch}`, async () => {
    console.log(await checkAll(nano, batch));
  });
}

withRuntime('SimMIM, whose mask tokens are in the encoder', async () => {
  const config: MaeConfig = { ...TINY, objective: 'simmim', norm_pix_loss: false };
  const weights = shaken(config, random(seed, 1));
  const own = await ours(config, weights, 2, 3);
  await checkMae(config, weights, own, 'noise', 0.5);
  await checkMae(config, weights, own, 'ids', 0.5);
});

for (const pool of ['gap', 'cls', 'normed'] as const) {
  withRuntime(`a classifier that sees ${pool}`, async () => {
    const { embed_dim, depth, num_heads, mlp_ratio, ln_eps, patch_size, in_chans, img_size } = TINY;
    const sizes = { embed_dim, depth, num_heads, mlp_ratio, ln_eps, patch_size, in_chans, img_size, dropout: 0 };
    const config: ClassifierConfig = { ...sizes, nb_classes: 5, pool, drop_path: 0 };
    const weights = classifierWeights(
      config,
      { config: TINY, weights: shaken(TINY, random(seed, 1)) },
      { seed, std: 1 },
    );
    const { img } = tinyBatch(3, seed, TINY);
    using engine = new Engine(device);
    const classifier = new Classifier(engine, config, weights);
    const program = engine.compile({ img: 'f32' }, (inputs) => ({ logits: classifier.forward(inputs.img).logits }));
    const { logits } = await (await program.run({ img })).read();
    const opened = await session(exportClassifier(config, weights, { ...data, classes: ['a', 'b', 'c', 'd', 'e'] }));
    const found = await runSession(ort!, opened, { pixel_values: img });
    checkShapes(opened, found, 3);
    await opened.release();
    agree('logits', found.logits.data, logits);
  });
}

/** What test/oracle/weights.py wrote by PyTorch, and what its own forward pass made of it. */
const ORACLE = fileURLToPath(new URL('./oracle/fixtures/weights', import.meta.url));
withRuntime('files of other projects, exported as they are: what PyTorch computes', async () => {
  const { tensors } = parseSafetensors(readFileSync(join(ORACLE, 'expected.safetensors')));
  const given = (name: string): HostTensor => {
    const tensor = tensors.get(name)!;
    return shapeOf(toFloat32(tensor), ...tensor.shape);
  };
  for (const [file, expected] of [
    ['full.pth', 'pred'],
    ['full-legacy.pth', 'pred'],
    ['hf-five', 'pred.hf'],
    ['encoder.pth', 'features'],
    ['hf-model', 'features.hf'],
    ['finetuned.pth', 'logits.gap'],
    ['probe.pth', 'logits.probe'],
    ['timm.safetensors', 'logits.cls'],
    ['hf-classifier', 'logits.cls.hf'],
  ] as const) {
    const heads = file.startsWith('hf') ? {} : { num_heads: 2, decoder_num_heads: 1 };
    const { kind, config, weights, data: from } = await loadWeights(join(ORACLE, file), heads);
    const exported =
      kind === 'autoencoder'
        ? exportMae(config, weights, from, { masks: 'noise', maskRatio: 0.75 })
        : kind === 'classifier'
          ? exportClassifier(config, weights, from)
          : exportEncoder(config, weights, from);
    const opened = await session(exported);
    const noise: Record<string, HostTensor> = kind === 'autoencoder' ? { noise: given('noise') } : {};
    const found = await runSession(ort!, opened, { pixel_values: given('img'), ...noise });
    await opened.release();
    agree(file, found[opened.outputNames[0]].data, given(expected).data);
  }
});

withRuntime('weights in a file beside the graph', async () => {
  const weights = shaken(nano, random(seed, 1));
  const own = await ours(nano, weights, 1, 16);
  await checkEncoder(nano, weights, own, true);
});

const LARGER: readonly (readonly [string, MaeConfig])[] = [
  ['ViT-B/16', configure('mae_vit_base_patch16')],
  [
    'ViT-B/16 of 160 x 256, normalised targets',
    configure('mae_vit_base_patch16', { img_size: [160, 256], norm_pix_loss: true }),
  ],
];
for (const [name, config] of LARGE ? LARGER : []) {
  withRuntime(name, async () => {
    console.log(`${name}: ${await checkAll(config, 1)}`);
  });
}

if (LARGE) {
  withRuntime('ViT-H/14, 2.6 GB of weights beside the graph', async () => {
    const config = configure('mae_vit_huge_patch14');
    const weights = shaken(config, random(seed, 1));
    const own = await ours(config, weights, 1, lenKeep(patchesOf(config), 0.75));
    const most = [await checkEncoder(config, weights, own), await checkMae(config, weights, own, 'noise', 0.75)];
    assert.ok(statSync(join(folder, 'mae.onnx.data')).size > 2 ** 31);
    console.log(`ViT-H/14: off by at most ${Math.max(...most).toExponential(1)}`);
  });
}
test.run();
