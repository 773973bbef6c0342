// Weights in every layout that PyTorch writes (test/oracle/weights.py), through the loader: what models here make of them is what an
// independent forward pass in PyTorch made of them, to 1e-4. WEIGHTS_ORACLE=FOLDER checks the paper's sizes, which that script writes.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { openSafetensorsFile } from '../engine/node/opened.ts';
import { toFloat32 } from '../engine/rawtensor.ts';
import { readHeader, readTensor } from '../engine/safetensors.ts';
import type { HostTensor } from '../engine/tensor.ts';
import { Classifier } from '../mae/model/classifier.ts';
import { patchesOf } from '../mae/model/config.ts';
import { VisionEncoder } from '../mae/model/encoder.ts';
import { MaskedAutoencoder } from '../mae/model/model.ts';
import { loadEncoder, loadWeights } from '../mae/weights/node.ts';
import type { ReadOptions } from '../mae/weights/take.ts';

const TINY = fileURLToPath(new URL('./oracle/fixtures/weights', import.meta.url));
const device = await openDawn();

async function expectedIn(folder: string): Promise<ReadonlyMap<string, HostTensor & { data: Float32Array }>> {
  await using source = await openSafetensorsFile(join(folder, 'expected.safetensors'));
  const { tensors } = await readHeader(source);
  const read = async (name: string) => {
    const tensor = await readTensor(source, tensors.get(name)!);
    return [name, { data: toFloat32(tensor), shape: [...tensor.shape] }] as const;
  };
  return new Map(await Promise.all([...tensors.keys()].map(read)));
}

/** What models of these weights say to the oracle's images. */
async function outputs(path: string, options: ReadOptions, img: HostTensor, noise: HostTensor) {
  using engine = new Engine(device);
  const loaded = await loadWeights(path, options);
  const inputs = { img: 'f32', noise: 'f32' } as const;
  if (loaded.kind === 'autoencoder') {
    const model = new MaskedAutoencoder(engine, loaded.config, loaded.weights);
    const keep = Math.trunc(patchesOf(loaded.config) * 0.25);
    const program = engine.compile(inputs, ({ img: x, noise: z }) => ({ out: model.forward(x, z, keep).pred }));
    return { loaded, ...(await (await program.run({ img, noise })).read()) };
  }
  const model =
    loaded.kind === 'classifier'
      ? new Classifier(engine, loaded.config, loaded.weights)
      : new VisionEncoder(engine, loaded.config, loaded.weights);
  const program = engine.compile({ img: 'f32' }, ({ img: x }) => ({
    out: model instanceof Classifier ? model.forward(x).logits : model.encodeAll(x),
  }));
  return { loaded, ...(await (await program.run({ img })).read()) };
}

function check(what: string, got: ArrayLike<number>, want: Float32Array | undefined): void {
  assert.is(got.length, want?.length, what);
  let most = 0;
  for (const [i, x] of (want as Float32Array).entries()) most = Math.max(most, Math.abs(x - got[i]));
  console.log(`${what}: at most ${most.toExponential(1)} off`);
  assert.ok(most < 1e-4, `${what} is ${most} off`);
}

/** By the widths alone nobody can tell how many heads such a small model has. */
const HEADS = { num_heads: 2, decoder_num_heads: 1 };

for (const [file, kind, expected] of [
  ['full.pth', 'autoencoder', 'pred'],
  ['full-legacy.pth', 'autoencoder', 'pred'],
  ['half.pth', 'autoencoder', 'pred.f16'],
  ['bfloat16.safetensors', 'autoencoder', 'pred.bf16'],
  ['hf', 'autoencoder', 'pred.hf'],
  ['hf-five', 'autoencoder', 'pred.hf'],
  ['encoder.pth', 'encoder', 'features'],
  ['wrapped.pth', 'encoder', 'features'],
  ['views.pth', 'encoder', 'features'],
  ['hf-model', 'encoder', 'features.hf'],
  ['finetuned.pth', 'classifier', 'logits.gap'],
  ['probe.pth', 'classifier', 'logits.probe'],
  ['timm.safetensors', 'classifier', 'logits.cls'],
  ['hf-classifier', 'classifier', 'logits.cls.hf'],
] as const) {
  test(`${file}: ${expected} as PyTorch computes it`, async () => {
    const want = await expectedIn(TINY);
    const options = file.startsWith('hf') ? {} : HEADS;
    const { loaded, out } = await outputs(join(TINY, file), options, want.get('img')!, want.get('noise')!);
    assert.is(loaded.kind, kind);
    check(file, out, want.get(expected)?.data);
  });
}

test('the encoder of each: of an autoencoder, a probe and alone', async () => {
  const want = await expectedIn(TINY);
  const img = want.get('img')!;
  for (const file of ['full.pth', 'probe.pth', 'hf']) {
    using engine = new Engine(device);
    const { config, weights } = await loadEncoder(join(TINY, file), {
      ...(file === 'hf' ? {} : HEADS),
      demandNorm: true,
    });
    assert.not.ok([...weights.keys()].some((name) => /^(decoder|mask|head)/.test(name)));
    const model = new VisionEncoder(engine, config, weights);
    const program = engine.compile({ img: 'f32' }, ({ img: x }) => ({ out: model.encodeAll(x) }));
    const { out } = await (await program.run({ img })).read();
    check(`encoder of ${file}`, out, want.get(file === 'hf' ? 'features.hf' : 'features')?.data);
  }
});

const big = process.env.WEIGHTS_ORACLE;
if (big) {
  for (const [file, expected] of [
    ['full.pth', 'pred'],
    ['finetuned.pth', 'logits.gap'],
    ['hf', 'pred.hf'],
    ['hf-classifier', 'logits.cls.hf'],
  ] as const) {
    test(`${file} in ${big}`, async () => {
      assert.ok(existsSync(join(big, file)), `write it: /usr/bin/python3 test/oracle/weights.py base ${big}`);
      const want = await expectedIn(big);
      const { out } = await outputs(join(big, file), {}, want.get('img')!, want.get('noise')!);
      check(file, out, want.get(expected)?.data);
    });
  }
}

test.run();
