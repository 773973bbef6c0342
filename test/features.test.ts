// Features of a folder as files: the numbers that probes see, any layer beside a plain computation in f64, the three kinds of files read back, and
// nothing left where it was stopped.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parquetReadObjects } from 'hyparquet';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { toFloat32, viewAs } from '../engine/rawtensor.ts';
import { type ReferenceMemory, runReference } from '../engine/reference.ts';
import { parseSafetensors } from '../engine/safetensors.ts';
import type { Tensor } from '../engine/tensor.ts';
import { random } from '../kernels/random/random.ts';
import type { Dataset } from '../mae/data/dataset.ts';
import { npyHeader } from '../mae/data/formats/npy.ts';
import { imageFolder } from '../mae/data/imagefolder.ts';
import { keptFeatures } from '../mae/evaluate/features.ts';
import { type FeatureFileOptions, writeFeatures } from '../mae/features/write.ts';
import { encodeTokens, everyPatch } from '../mae/model/encoder.ts';
import { FEATURES, tokensOf } from '../mae/model/features.ts';
import { MaskedAutoencoder } from '../mae/model/model.ts';
import { writePhotograph } from './support/photographs.ts';
import { relative } from './support/relative.ts';
import { saveModel } from './support/saved.ts';
import { cli } from './support/spawn-cli.ts';
import { shaken, TINY, tinyBatch } from './support/tiny.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const engine = new Engine(await openDawn());
const root = mkdtempSync(join(tmpdir(), 'tesserae-features-'));
test.after(() => {
  engine.device.dispose();
  rmSync(root, { recursive: true, force: true });
});
const rng = random(seed, 1);
const weights = shaken(TINY, rng);
const model = new MaskedAutoencoder(engine, TINY, weights);
const data = { mean: [0.5, 0.4, 0.3], std: [0.2, 0.25, 0.3] };
const [PATCHES, DIM] = [6, TINY.embed_dim];

/** Two classes of photographs of several sizes, one name that a table must quote. */
const photos = join(root, 'photos');
let which = 0;
for (const [name, count] of [
  ['a', 4],
  ['b, "two"', 5],
] as const) {
  mkdirSync(join(photos, name), { recursive: true });
  for (let i = 0; i < count; i++) {
    await writePhotograph(which++, join(photos, name, `${i}.png`));
  }
}
const IDS = [...[0, 1, 2, 3].map((i) => `a/${i}.png`), ...[0, 1, 2, 3, 4].map((i) => `b, "two"/${i}.png`)];
const LABELS = [0, 0, 0, 0, 1, 1, 1, 1, 1];
const set = await imageFolder(photos);

const write = (out: string, options: Partial<FeatureFileOptions> = {}, from: Dataset = set) =>
  writeFeatures(engine, model, from, join(root, out), {
    ...data,
    kinds: FEATURES,
    batchSize: 4,
    metadata: {},
    ...options,
  });

const tensorsIn = (out: string) => {
  const { tensors, metadata } = parseSafetensors(readFileSync(join(root, out)));
  const floats = (name: string): Float32Array => toFloat32(tensors.get(name)!);
  return { tensors, metadata, floats };
};

test('safetensors: cls and gap are bit for bit what probes see, and every row knows its image', async () => {
  await write('all.safetensors');
  const { tensors, metadata, floats } = tensorsIn('all.safetensors');
  const kept = await keptFeatures(engine, model, set, { ...data, batchSize: 4, source: photos, cache: false });
  assert.equal(floats('cls'), kept.cls);
  assert.equal(floats('gap'), kept.gap);
  assert.equal(tensors.get('patch_tokens')!.shape, [9, PATCHES, DIM]);
  const tokens = floats('patch_tokens');
  const means = kept.gap.map((_, at) => {
    const [image, d] = [Math.floor(at / DIM), at % DIM];
    let sum = 0;
    for (let l = 0; l < PATCHES; l++) sum += tokens[(image * PATCHES + l) * DIM + d];
    return sum / PATCHES;
  });
  assert.ok(relative(means, kept.gap) < 1e-6);
  assert.equal([...viewAs(tensors.get('labels')!, 'I32')], LABELS);
  assert.equal(JSON.parse(metadata.get('ids')!), IDS);
  assert.equal(JSON.parse(metadata.get('classes')!), ['a', 'b, "two"']);
});

test('the same images give the same bytes; other batches the same numbers', async () => {
  for (const kind of ['safetensors', 'parquet']) {
    await write(`one.${kind}`);
    await write(`two.${kind}`);
    assert.ok(readFileSync(join(root, `one.${kind}`)).equals(readFileSync(join(root, `two.${kind}`))), kind);
  }
  await write('odd.safetensors', { batchSize: 5 });
  const [one, odd] = [tensorsIn('one.safetensors'), tensorsIn('odd.safetensors')];
  for (const name of FEATURES) assert.ok(relative(odd.floats(name), one.floats(name)) < 1e-6, name);
});

test(`every layer: the tokens on the way of the whole encoder, and a plain computation in f64 (seed ${seed})`, async () => {
  const { img } = tinyBatch(2, seed);
  const layers = [0, 1, 2];
  const program = engine.compile({ img: 'f32' }, ({ img: pixels }) => {
    const own = layers.map((layer): [string, Tensor] => [`own.${layer}`, tokensOf(model, pixels, layer)]);
    const on: [string, Tensor][] = [];
    const watch = (name: string, value: Tensor): void =>
      void (/^enc_(in|block)/.test(name) && on.push([`way.${on.length}`, value]));
    encodeTokens(model.parameters, TINY, pixels, everyPatch(pixels, TINY), { watch });
    return Object.fromEntries([...own, ...on, ['normed', tokensOf(model, pixels)]]) as Record<string, Tensor>;
  });
  const got = await (await program.run({ img })).read();
  const memory: ReferenceMemory = new Map(model.parameters.slabs.map((s) => [s, new Float64Array(s.length)]));
  for (const [name, v] of model.parameters.variables)
    (memory.get(v.slab) as Float64Array).set(weights.get(name) as Float32Array, v.offset);
  const { trace, outputs } = program.trace({ img: img.shape });
  const want = runReference(trace, outputs, { img: img.data }, memory);
  for (const layer of layers) {
    assert.equal(got[`own.${layer}`], got[`way.${layer}`], `layer ${layer}`);
    assert.ok(relative(got[`own.${layer}`], want[`own.${layer}`]) < 1e-5, `layer ${layer}`);
  }
  assert.ok(relative(got.normed, want.normed) < 1e-5);
  assert.ok(relative(got['own.2'], got.normed) > 0.1, 'a layer has no norm after it');
});

test('a file of a layer holds that layer', async () => {
  await write('first.safetensors', { layer: 1 });
  const { floats, metadata } = tensorsIn('first.safetensors');
  assert.is(metadata.get('layer'), '1');
  await write('last.safetensors');
  assert.ok(relative(floats('cls'), tensorsIn('last.safetensors').floats('cls')) > 0.1);
  const message = await write('none.safetensors', { layer: 3 }).catch((error: Error) => error.message);
  assert.match(String(message), /features: layer must be 0 .* to 2 .*, got 3/);
});

test('npy: one array, and a table beside it', async () => {
  await write('all.safetensors');
  await write('tokens.npy', { kinds: ['patch_tokens'] });
  const { type, shape, offset } = await npyHeader(join(root, 'tokens.npy'));
  assert.equal([type, ...shape], ['f4', 9, PATCHES, DIM]);
  assert.is(offset % 64, 0);
  const values = new Float32Array(new Uint8Array(readFileSync(join(root, 'tokens.npy')).subarray(offset)).buffer);
  assert.equal(values, tensorsIn('all.safetensors').floats('patch_tokens'));
  const lines = readFileSync(join(root, 'tokens.csv'), 'utf8').split('\n');
  assert.is(lines[0], 'id,label,class');
  assert.is(lines[1], 'a/0.png,0,a');
  assert.is(lines[5], '"b, ""two""/0.png",1,"b, ""two"""');
  assert.is(lines.length, 9 + 2);
});

test('parquet: a row an image, in row groups', async () => {
  await write('all.safetensors');
  await write('all.parquet');
  const { buffer, byteOffset, byteLength } = readFileSync(join(root, 'all.parquet'));
  const rows = await parquetReadObjects({ file: buffer.slice(byteOffset, byteOffset + byteLength) });
  assert.equal(
    rows.map(({ id }) => id),
    IDS,
  );
  assert.equal(
    rows.map(({ label }) => label),
    LABELS,
  );
  assert.equal(
    rows.map((row) => row.class),
    LABELS.map((label) => ['a', 'b, "two"'][label]),
  );
  const { floats } = tensorsIn('all.safetensors');
  for (const name of FEATURES) assert.equal(Float32Array.from(rows.flatMap((row) => row[name])), floats(name), name);
});

test('damaged images are told and left out; where they are too many, what was there stays', async () => {
  const folder = join(root, 'damaged');
  mkdirSync(folder);
  const good = readFileSync(join(photos, 'a', '0.png'));
  for (const name of ['0.png', '1.png', '3.png', '4.png', '5.png', '6.png']) writeFileSync(join(folder, name), good);
  writeFileSync(join(folder, '2.png'), good.subarray(0, 40));
  const notes: string[] = [];
  await write('few.safetensors', { note: (line) => notes.push(line) }, await imageFolder(folder));
  assert.is(notes.length, 1);
  assert.match(notes[0], /1 of 7 images are damaged and left out: .*2\.png/);
  const before = readFileSync(join(root, 'few.safetensors'));
  const { tensors, metadata } = tensorsIn('few.safetensors');
  assert.equal(tensors.get('cls')!.shape, [6, DIM]);
  assert.equal(JSON.parse(metadata.get('ids')!), ['0.png', '1.png', '3.png', '4.png', '5.png', '6.png']);
  for (const name of ['3.png', '4.png', '5.png', '6.png']) writeFileSync(join(folder, name), good.subarray(0, 40));
  await write('few.safetensors', {}, await imageFolder(folder)).then(
    () => assert.unreachable('five of seven are damaged'),
    (error: Error) => assert.match(error.message, /5 of 7 images/),
  );
  assert.ok(readFileSync(join(root, 'few.safetensors')).equals(before));
  assert.equal(
    readdirSync(root).filter((name) => name.endsWith('.tmp')),
    [],
  );
});

test('one who stops has no file, and what was there before as it was', async () => {
  for (const out of ['stopped.safetensors', 'stopped.npy', 'stopped.parquet']) {
    const before = out.endsWith('.npy') ? null : Buffer.from('before');
    if (before) writeFileSync(join(root, out), before);
    const stop = new AbortController();
    const kinds = ['gap'] as const;
    assert.is(await write(out, { kinds, batchSize: 1, stop: stop.signal, progress: () => stop.abort() }), null);
    const left = readdirSync(root).filter((name) => /stopped.*(npy|csv)|tmp$/.test(name));
    assert.equal(left, []);
    if (before) assert.ok(readFileSync(join(root, out)).equals(before));
  }
});

async function checkpoint(): Promise<string> {
  const path = join(root, 'checkpoint.safetensors');
  await saveModel(path, { weights, data: { name: 'made up', ...data, classes: null } });
  return path;
}

test('tesserae features: a folder to a file, with images a second', async () => {
  const out = join(root, 'deeper', 'features.safetensors');
  const {
    code,
    out: said,
    err,
  } = await cli(['features', await checkpoint(), photos, '--output', out, '--features', 'gap', '--batch-size', '4']);
  assert.is(code, 0, err);
  assert.match(said, /gap +\(9, 24\)\n[\d.]+ images\/s; .*features\.safetensors: /);
  assert.match(err, /100 % +features of .*photos +.* images\/s/);
  await write('same.safetensors', { kinds: ['gap'] });
  assert.equal(
    toFloat32(parseSafetensors(readFileSync(out)).tensors.get('gap')!),
    tensorsIn('same.safetensors').floats('gap'),
  );
});

test('what it cannot do ends in one line', async () => {
  const path = await checkpoint();
  const wrong: [string[], number, RegExp][] = [
    [[], 2, /--output is missing/],
    [['--output', 'x.txt'], 2, /x\.txt: the name must end in \.safetensors, \.npy or \.parquet/],
    [['--output', 'x.npy'], 2, /an \.npy file holds one array: --features cls, or a \.safetensors file/],
    [['--output', 'x.parquet', '--features', 'csl'], 2, /got csl; did you mean cls/],
    [['--output', join(root, 'x.parquet'), '--layer', '3'], 2, /--layer 3: the encoder has 2 blocks/],
    [['--output', join(root, 'x.parquet'), '--split', 'test'], 2, /--split test: .* has none/],
  ];
  const ended = await Promise.all(wrong.map(([args]) => cli(['features', path, photos, ...args])));
  for (const [i, { code, err }] of ended.entries()) {
    const [, want, line] = wrong[i];
    assert.is(code, want, err);
    assert.match(err.trim(), line);
    assert.is(err.trim().split('\n').length, 1, err);
  }
});

test('an interrupt leaves nothing behind', async () => {
  const count = 4000;
  const pixels = Uint8Array.from({ length: count * 8 * 12 * 3 }, () => rng.below(256));
  const text = `{'descr': '|u1', 'fortran_order': False, 'shape': (${count}, 8, 12, 3), }`.padEnd(117);
  const head = Buffer.concat([
    Buffer.from([0x93]),
    Buffer.from('NUMPY\x01\x00\x76\x00', 'latin1'),
    Buffer.from(`${text}\n`),
  ]);
  const images = join(root, 'images.npy');
  writeFileSync(images, Buffer.concat([head, pixels]));
  mkdirSync(join(root, 'interrupted'));
  const out = join(root, 'interrupted', 'features.parquet');
  const ended = await cli(
    ['features', await checkpoint(), images, '--output', out, '--batch_size', '1'],
    {},
    (child) => {
      // The first line comes after the first of 4,000 batches.
      child.stderr?.once('data', () => child.kill('SIGINT'));
    },
  );
  assert.is(ended.code, 130, ended.err);
  assert.match(ended.err, /interrupted: .*features\.parquet is not written/);
  assert.equal(readdirSync(join(root, 'interrupted')), []);
});
test.run();
