// Weights of other projects without a GPU: names both ways, round trips by every pair of formats, what is missing or left over, and how much of
// a file is read.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DTYPE_BYTES, rawTensor } from '../../engine/rawtensor.ts';
import { parseSafetensors } from '../../engine/safetensors.ts';
import { writeSafetensors } from '../../engine/safetensors-write.ts';
import { classifierSpecs } from '../../mae/model/classifier.ts';
import { configure, encoderSpecs, type MaeConfig, parameterSpecs } from '../../mae/model/config.ts';
import { initialWeights } from '../../mae/model/init.ts';
import { parameterCount } from '../../mae/model/parameter-count.ts';
import { loadCheckpoint, saveCheckpoint } from '../../mae/train/checkpoint.ts';
import { describe } from '../../mae/weights/describe.ts';
import { hfFiles, maeFile } from '../../mae/weights/export.ts';
import type { Loaded } from '../../mae/weights/loaded.ts';
import { ourName, theirNames } from '../../mae/weights/names.ts';
import { kindAt, loadEncoder, loadWeights } from '../../mae/weights/node.ts';
import { readEncoder } from '../../mae/weights/own.ts';
import { filePlace } from '../../mae/weights/place.ts';
import { kindOf } from '../../mae/weights/read.ts';
import { saveLoaded } from '../../mae/weights/save.ts';
import { join as joined } from '../support/safetensors-raw.ts';
import { refusal } from '../support/thrown.ts';
import { archiveOf, dictOf, pickle, tensorOf } from '../support/torch-files.ts';

const FIXTURES = fileURLToPath(new URL('../oracle/fixtures/weights', import.meta.url));
const fixture = (name: string): string => join(FIXTURES, name);
const HEADS = { num_heads: 2, decoder_num_heads: 1 };
const root = mkdtempSync(join(tmpdir(), 'tesserae-weights-'));
test.after(() => rmSync(root, { recursive: true, force: true }));
let made = 0;
const fresh = (ending = ''): string => join(root, `${made++}${ending}`);

const SIZES = configure('mae_vit_nano_patch4_32', {
  img_size: [16, 24],
  pos_embed: 'learned',
  ln_eps: 1e-5,
  norm_pix_loss: true,
});

test('every name of ours has names of Hugging Face that come back, of transformers 4 and 5', () => {
  const classifier = { ...SIZES, nb_classes: 3, pool: 'cls', drop_path: 0 } as const;
  const names = new Set([...parameterSpecs(SIZES), ...classifierSpecs(classifier)].map(({ name }) => name));
  const seen = new Set<string>();
  for (const name of names) {
    for (const prefix of ['', 'vit.', 'module.vit.']) {
      for (const [i, theirs] of theirNames(name, prefix).entries()) {
        seen.add(theirs);
        const back = ourName(theirs);
        assert.is(back.name, name);
        if (name.includes('qkv')) assert.is(back.part, i);
        assert.is(back.naming, 'huggingface', theirs);
      }
    }
    assert.equal(ourName(name), { name, naming: 'mae' });
    assert.equal(ourName(`module._orig_mod.${name}`), { name, naming: 'mae' });
  }
  assert.is(ourName('vit.layers.3.attention.k_proj.bias').name, 'blocks.3.attn.qkv.bias');
  assert.is(ourName('layers.0.attention.o_proj.weight').name, 'blocks.0.attn.proj.weight');
  assert.throws(() => theirNames('fc_norm.weight', 'vit.'), /no name for fc_norm\.weight/);
});

type Writer = (path: string, loaded: Loaded) => Promise<string>;
const WRITERS: Readonly<Record<string, Writer>> = {
  tesserae: async (path, loaded) => {
    await saveLoaded(`${path}.safetensors`, loaded);
    return `${path}.safetensors`;
  },
  mae: async (path, loaded) => {
    writeFileSync(`${path}.safetensors`, joined(maeFile(loaded)));
    return `${path}.safetensors`;
  },
  huggingface: async (path, loaded) => {
    mkdirSync(path);
    for (const [name, chunks] of hfFiles(loaded)) writeFileSync(join(path, name), joined(chunks));
    return path;
  },
};

/** What every format holds. */
const kept = ({ kind, config, weights, data: { mean, std }, maskRatio }: Loaded) => ({
  kind,
  config,
  weights: [...weights].map(([name, values]) => [
    name,
    Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('hex'),
  ]),
  normalisation: { mean, std },
  maskRatio: kind === 'classifier' ? null : maskRatio,
});

for (const file of ['full.pth', 'encoder.pth', 'timm.safetensors', 'hf', 'hf-five', 'hf-model', 'hf-classifier']) {
  for (const first of Object.keys(WRITERS)) {
    test(`${file} as ${first}, then as each format and back: the same bits`, async () => {
      const loaded = await loadWeights(fixture(file), file.startsWith('hf') ? {} : HEADS);
      const once = await loadWeights(await WRITERS[first](fresh(), loaded));
      assert.equal(kept(once), kept(loaded));
      if (once.kind === 'classifier' && loaded.kind === 'classifier')
        assert.equal(once.data.classes, loaded.data.classes);
      for (const second of Object.keys(WRITERS)) {
        const twice = await loadWeights(await WRITERS[second](fresh(), once));
        assert.equal(kept(twice), kept(loaded), `${first} and ${second}`);
      }
    });
  }
}

test('a checkpoint of ours, of an odd image and learned positions, goes through all formats', async () => {
  const weights = initialWeights(SIZES, 7);
  const data = { name: 'x', mean: [0.1, 0.2, 0.3], std: [0.4, 0.5, 0.6], classes: null };
  const path = fresh('.safetensors');
  await saveCheckpoint(path, { config: SIZES, weights, data, maskRatio: 0.6, optimizer: null, training: null });
  const loaded = await loadWeights(path);
  for (const [name, writer] of Object.entries(WRITERS)) {
    const { kind, config, weights: back, maskRatio } = await loadWeights(await writer(fresh(), loaded));
    assert.is(kind, 'autoencoder');
    assert.equal(config, SIZES, name);
    assert.equal(back, weights);
    assert.is(maskRatio, 0.6);
  }
  const encoder = await loadEncoder(await WRITERS.mae(fresh(), loaded));
  assert.equal(
    [...encoder.weights.keys()],
    encoderSpecs(SIZES).map((s) => s.name),
  );
  assert.is(await kindAt(path), 'autoencoder');
});

test('what a format cannot hold is refused by name', async () => {
  const gap = await loadWeights(fixture('finetuned.pth'), HEADS);
  assert.throws(() => hfFiles(gap), /judges by the cls token, this by the mean over patches/);
  const back = await loadWeights(await WRITERS.mae(fresh(), gap));
  assert.equal(kept(back), kept(gap));
  const simmim = configure('mae_vit_nano_patch4_32', { objective: 'simmim' });
  const path = fresh('.safetensors');
  const data = { name: 'x', mean: [0, 0, 0], std: [1, 1, 1], classes: null };
  await saveCheckpoint(path, {
    config: simmim,
    weights: initialWeights(simmim, 1),
    data,
    maskRatio: 0.6,
    optimizer: null,
    training: null,
  });
  const loaded = await loadWeights(path);
  for (const write of [maeFile, hfFiles]) assert.throws(() => write(loaded), /SimMIM/);
  assert.is((await loadWeights(path, { only: 'encoder' })).kind, 'encoder');
});

/** timm.safetensors with some tensors taken out, put in or renamed. */
function changed(change: (tensors: Map<string, ReturnType<typeof rawTensor>>) => void): string {
  const tensors = new Map(parseSafetensors(new Uint8Array(readFileSync(fixture('timm.safetensors')))).tensors);
  change(tensors as Map<string, ReturnType<typeof rawTensor>>);
  const path = fresh('.safetensors');
  writeFileSync(path, joined(writeSafetensors(tensors)));
  return path;
}

test('missing and unexpected tensors are named; what would compute something else is refused', async () => {
  const one = rawTensor('F32', [16], new Float32Array(16));
  const load = (path: string): Promise<Loaded> => loadWeights(path, HEADS);
  const without = changed((t) => {
    for (const name of ['blocks.1.mlp.fc2.bias', 'norm.bias']) t.delete(name);
  });
  assert.match(await refusal(() => load(without)), /lacks 2 of its 32 weights: blocks\.1\.mlp\.fc2\.bias, norm\.bias/);
  const scaled = changed((t) => void t.set('blocks.0.ls1.gamma', one));
  assert.match(await refusal(() => load(scaled)), /blocks\.0\.ls1\.gamma: it is another architecture/);
  const registers = changed((t) => void t.set('reg_token', one));
  assert.match(await refusal(() => load(registers)), /reg_token/);
  const { report } = await load(changed((t) => void t.set('pre_logits.fc.bias', one).set('ema_step', one)));
  assert.equal(report.unexpected, ['pre_logits.fc.bias', 'ema_step']);
  const wrong = changed((t) => void t.set('blocks.1.norm1.bias', rawTensor('F32', [8], new Float32Array(8))));
  assert.match(await refusal(() => load(wrong)), /blocks\.1\.norm1\.bias is \(8\), the model needs \(16\)/);
  assert.match(
    await refusal(() => loadWeights(fixture('timm.safetensors'))),
    /how many heads a width of 16 has .*--num_heads N/,
  );
  const whole = changed((t) => void t.set('vit.encoder.layer.0.attention.attention.query.bias', one));
  assert.match(await refusal(() => load(whole)), /config\.json|only in part/);
  const folder = fresh();
  cpSync(fixture('hf'), folder, { recursive: true });
  rmSync(join(folder, 'config.json'));
  assert.match(await refusal(() => loadWeights(folder)), /sizes are in a config\.json: put it beside/);
  rmSync(join(folder, 'model.safetensors'));
  assert.match(await refusal(() => loadWeights(folder)), /has none of model\.safetensors/);
  assert.match(await refusal(() => loadWeights(join(folder, 'preprocessor_config.json'))), /no weight_map/);
});

test('an encoder, a classifier and a fine-tuned encoder where another is needed', async () => {
  assert.match(
    await refusal(() => loadCheckpoint(fixture('hf-model'))),
    /holds an encoder without decoder or head: attention, linprobe/,
  );
  assert.match(await refusal(() => loadCheckpoint(fixture('hf-classifier'))), /holds a classifier: eval/);
  const tuned = await loadEncoder(fixture('finetuned.pth'), HEADS);
  assert.equal(tuned.report.missing, ['norm.weight', 'norm.bias']);
  const message = await refusal(() => loadEncoder(fixture('finetuned.pth'), { ...HEADS, demandNorm: true }));
  assert.match(message, /an encoder without its final norm/);
});

test('what a report says: target, masks and what was not read', async () => {
  const full = await loadWeights(fixture('full.pth'), HEADS);
  const rows = new Map(describe(full));
  assert.is(rows.get('predicts'), 'normalised pixels');
  assert.is(rows.get('mask ratio'), '0.6');
  assert.match(rows.get('left out') ?? '', /^epoch \(not weights\), args .*optimizer/);
  assert.match(rows.get('is') ?? '', /a masked autoencoder.*facebookresearch\/mae \(PyTorch zip archive\)/);
  // As pretraining counts them: fixed positions are none.
  const learnt = [...full.weights].filter(([name]) => !name.endsWith('pos_embed'));
  assert.is(
    full.report.parameters,
    learnt.reduce((sum, [, { length }]) => sum + length, 0),
  );
  assert.is(full.report.parameters, parameterCount(parameterSpecs(full.config as MaeConfig)));
  const half = new Map(describe(await loadWeights(fixture('half.pth'), HEADS)));
  assert.match(half.get('predicts') ?? '', /^not said; taken as pixels/);
  assert.match(new Map(describe(await loadWeights(fixture('hf')))).get('encoder') ?? '', /eps 1e-12/);
});

test("timm's folder: normalisation of its config; classes without names", async () => {
  const folder = fresh();
  mkdirSync(folder);
  cpSync(fixture('timm.safetensors'), join(folder, 'model.safetensors'));
  const config = {
    architecture: 'vit_base_patch16_224',
    num_classes: 5,
    pretrained_cfg: { mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2] },
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  const { kind, data, report } = await loadWeights(folder, HEADS);
  assert.equal(
    [kind, report.format, data.mean, data.std, data.classes],
    ['classifier', 'timm', [0.5, 0.5, 0.5], [0.2, 0.2, 0.2], ['0', '1', '2', '3', '4']],
  );
});

/** A file in memory that counts what is read of it. */
function counted(bytes: Uint8Array) {
  const source = { name: 'counted', size: bytes.length, read: 0 };
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    source.read += length;
    return bytes.slice(offset, offset + length);
  };
  return { place: filePlace({ name: source.name, size: source.size, read }), source };
}

test('of a .pth only the directory, the pickle and the tensors that are wanted are read', async () => {
  const { weights } = await loadEncoder(fixture('full.pth'), HEADS);
  const { config } = await loadEncoder(fixture('full.pth'), HEADS);
  const specs = encoderSpecs(config);
  const tensors = specs.map(({ name, shape }, i): [string, Buffer] => {
    const stride = shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * b, 1));
    return [name, tensorOf({ key: String(i), numel: weights.get(name)!.length, shape, stride })];
  });
  const moments = tensorOf({ key: 'm', numel: 2 ** 24, shape: [2 ** 24], stride: [1] });
  const storages = specs.map(({ name }, i): [string, Buffer] => {
    const { buffer, byteOffset, byteLength } = weights.get(name)!;
    return [String(i), Buffer.from(buffer, byteOffset, byteLength)];
  });
  const saved = pickle(
    dictOf([
      ['model', dictOf(tensors)],
      ['optimizer', dictOf([['m', moments]])],
    ]),
  );
  const file = archiveOf(saved, [['m', Buffer.alloc(2 ** 26)], ...storages]);
  const { place, source } = counted(file);
  const loaded = await readEncoder(place, HEADS);
  assert.equal(loaded.weights, weights);
  const sizeOf = (name: string): number => weights.get(name)!.length * DTYPE_BYTES.F32;
  const wanted = specs.reduce((sum, { name }) => sum + sizeOf(name), sizeOf('pos_embed'));
  assert.ok(source.read >= wanted, 'it counts');
  // The directory of a zip archive is looked for in the last 64 KB; the pickle and the names have some 10 each.
  assert.ok(source.read < wanted + 150_000, `${source.read} bytes of ${file.length}`);
  const again = counted(file);
  assert.is(await kindOf(again.place), 'encoder');
  assert.ok(again.source.read < 150_000, 'no tensor is read to tell what it is');
});

test.run();
