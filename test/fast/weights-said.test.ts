// What a file of weights says is believed and never overruled, what it lacks is not made up, and what is no weights at all is told apart.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { rawTensor } from '../../engine/rawtensor.ts';
import { parseSafetensors } from '../../engine/safetensors.ts';
import { writeSafetensors } from '../../engine/safetensors-write.ts';
import type { ClassifierConfig } from '../../mae/model/classifier.ts';
import { encoderSpecs } from '../../mae/model/config.ts';
import { loadEncoder, loadWeights } from '../../mae/weights/node.ts';
import { throughHalves } from '../../engine/half.ts';
import { saveLoaded } from '../../mae/weights/save.ts';
import { join as joined } from '../support/safetensors-raw.ts';
import { refusal } from '../support/thrown.ts';
import { archiveOf, dictOf, pickle, tensorOf } from '../support/torch-files.ts';

const FIXTURES = fileURLToPath(new URL('../oracle/fixtures/weights', import.meta.url));
const fixture = (name: string): string => join(FIXTURES, name);
const HEADS = { num_heads: 2, decoder_num_heads: 1 };
const root = mkdtempSync(join(tmpdir(), 'tesserae-weights-said-'));
test.after(() => rmSync(root, { recursive: true, force: true }));
let made = 0;
const fresh = (ending = ''): string => join(root, `${made++}${ending}`);

test("timm's config says what a head sees: the cls token, or the mean of normed patches; else it is refused", async () => {
  const told = async (global_pool: string): Promise<string> => {
    const folder = fresh();
    mkdirSync(folder);
    cpSync(fixture('timm.safetensors'), join(folder, 'model.safetensors'));
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ architecture: 'vit_tiny_patch16_224', global_pool }));
    return folder;
  };
  for (const [said, pool] of [
    ['token', 'cls'],
    ['avg', 'normed'],
  ] as const) {
    const { config } = await loadWeights(await told(said), HEADS);
    assert.is((config as ClassifierConfig).pool, pool);
  }
  const map = await told('map');
  assert.match(await refusal(() => loadWeights(map, HEADS)), /global_pool is "map", which models here do not do/);
});

test('what a file says is not changed by what is asked for', async () => {
  assert.match(
    await refusal(() => loadWeights(fixture('hf'), { num_heads: 4 })),
    /hf: says that num_heads is 2, asked for is 4/,
  );
  const own = fresh('.safetensors');
  await saveLoaded(own, await loadWeights(fixture('full.pth'), HEADS));
  for (const options of [{ decoder_num_heads: 2 }, { norm_pix_loss: false }] as const)
    assert.match(await refusal(() => loadWeights(own, options)), /safetensors: says that .*, asked for is/);
  assert.is((await loadWeights(own, { ...HEADS, norm_pix_loss: true })).kind, 'autoencoder');
});

test('written as halves, weights are the nearest halves and take half the room', async () => {
  const [whole, half] = [fresh('.safetensors'), fresh('.safetensors')];
  const loaded = await loadWeights(fixture('full.pth'), HEADS);
  await saveLoaded(whole, loaded);
  await saveLoaded(half, loaded, { half: true });
  const { weights } = await loadWeights(half, { norm_pix_loss: true });
  assert.is(weights.size, loaded.weights.size);
  for (const [name, values] of weights) assert.equal(values, throughHalves(loaded.weights.get(name)!), name);
  const bytes = [...weights.values()].reduce((sum, values) => sum + values.length, 0);
  const saved = statSync(whole).size - statSync(half).size;
  assert.ok(Math.abs(saved - 2 * bytes) < 512, `${saved} of ${bytes} values`);
});

/** A .pth of these tensors, of one storage each. */
function torchOf(
  tensors: ReadonlyMap<string, { shape: readonly number[]; values: Float32Array }>,
  besides: Entries = [],
) {
  const named = [...tensors].map(([name, { shape, values }], i): Entries[number] => {
    const stride = shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * b, 1));
    return [name, tensorOf({ key: String(i), numel: values.length, shape, stride })];
  });
  const storages = [...tensors.values()].map(({ values }, i): Entries[number] => [
    String(i),
    Buffer.from(values.buffer, values.byteOffset, values.byteLength),
  ]);
  const path = fresh('.pth');
  const model = dictOf([...besides, ['model', dictOf(named)]]);
  writeFileSync(path, archiveOf(pickle(model), [...storages, ['seed', Buffer.alloc(8)]]));
  return path;
}
type Entries = [string, Buffer][];

/** Every tensor of the fixture by its name. */
async function tensorsIn(path: string) {
  const { config, weights } = await loadEncoder(path, HEADS);
  const shapes = encoderSpecs(config).filter(({ name }) => weights.has(name));
  return new Map(shapes.map(({ name, shape }) => [name, { shape, values: weights.get(name)! }]));
}

test('a target that nobody said stays unsaid in a file of ours, until somebody does', async () => {
  const path = fresh('.safetensors');
  await saveLoaded(path, await loadWeights(fixture('half.pth'), HEADS));
  const loaded = await loadWeights(path);
  assert.is(loaded.kind === 'autoencoder' && loaded.target, null);
  const said = await loadWeights(path, { norm_pix_loss: true });
  assert.is(said.kind === 'autoencoder' && said.target, 'normalised pixels');
  await saveLoaded(path, said);
  const kept = await loadWeights(path);
  assert.is(kept.kind === 'autoencoder' && kept.target, 'normalised pixels');
  assert.match(await refusal(() => loadWeights(path, { norm_pix_loss: false })), /norm_pix_loss is true, asked for is/);
});

test('a preprocessor that does not normalise', async () => {
  const folder = fresh();
  cpSync(fixture('hf'), folder, { recursive: true });
  const path = join(folder, 'preprocessor_config.json');
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), do_normalize: false }));
  const { mean, std } = (await loadWeights(folder)).data;
  assert.equal({ mean, std }, { mean: [0, 0, 0], std: [1, 1, 1] });
});

test('a tensor beside the model is not the model', async () => {
  const encoder = await tensorsIn(fixture('encoder.pth'));
  const random = tensorOf({ key: 'seed', storage: 'LongStorage', numel: 1, shape: [1], stride: [1] });
  const { kind, report } = await loadWeights(torchOf(encoder, [['random', random]]), HEADS);
  assert.equal([kind, report.besides], ['encoder', ['random']]);
});

test('a linear probe of the mean over patches: its batch norm goes into the head behind fc_norm', async () => {
  const probe = await tensorsIn(fixture('finetuned.pth'));
  const values = (shape: number[], of: (i: number) => number) => ({
    shape,
    values: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => of(i)),
  });
  for (const part of ['weight', 'bias'] as const)
    probe.set(
      `fc_norm.${part}`,
      values([16], (i) => 1 + i / 8),
    );
  probe.set(
    'head.0.running_mean',
    values([16], (i) => i / 16),
  );
  probe.set(
    'head.0.running_var',
    values([16], () => 4 - 1e-6),
  );
  probe.set(
    'head.1.weight',
    values([3, 16], (i) => (i % 5) - 2),
  );
  probe.set(
    'head.1.bias',
    values([3], (i) => i),
  );
  const { kind, config, weights } = await loadWeights(torchOf(probe), HEADS);
  assert.equal([kind, (config as ClassifierConfig).pool], ['classifier', 'gap']);
  const w = probe.get('head.1.weight')!.values;
  for (const [i, x] of weights.get('head.weight')!.entries()) assert.ok(Math.abs(x - w[i] / 2) < 1e-6);
  for (const [k, x] of weights.get('head.bias')!.entries()) {
    const shift = Array.from({ length: 16 }, (_, d) => (w[16 * k + d] / 2) * (d / 16)).reduce((a, b) => a + b);
    assert.ok(Math.abs(x - (k - shift)) < 1e-5);
  }
});

test('weights of integers, web pages, pointers and empty files are told apart', async () => {
  const quantised = fresh('.safetensors');
  const tensors = new Map(parseSafetensors(new Uint8Array(readFileSync(fixture('timm.safetensors')))).tensors);
  tensors.set('blocks.0.norm1.bias', rawTensor('I8', [16], new Int8Array(16)));
  writeFileSync(quantised, joined(writeSafetensors(tensors)));
  assert.match(
    await refusal(() => loadWeights(quantised, HEADS)),
    /blocks\.0\.norm1\.bias is I8, weights must be F32, F16, BF16 or F64/,
  );
  for (const [text, why] of [
    ['', /is empty/],
    ['<!DOCTYPE html><html>', /is a web page, not weights/],
    ['version https://git-lfs.github.com/spec/v1\n', /pointer of Git LFS, not the weights: git lfs pull/],
    ['hello, world', /no weights that are known/],
  ] as const) {
    const path = fresh('.pth');
    writeFileSync(path, text);
    assert.match(await refusal(() => loadWeights(path)), why);
  }
});

test.run();
