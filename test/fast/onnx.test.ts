// ONNX files as bytes, without a runtime: what is declared, what lies where, and what the metadata tell.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fromBinary } from '@bufbuild/protobuf';
import { build } from 'esbuild';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { configure, parameterSpecs, patchesOf } from '../../mae/model/config.ts';
import { type Exported, exportEncoder, exportMae, type Sink, weightBytes, writeModel } from '../../mae/onnx/export.ts';
import { type ModelProto, ModelProtoSchema, TensorProto_DataLocation as Location } from '../../mae/onnx/onnx_pb.js';
import { Scratch } from '../support/scratch.ts';
import { cli } from '../support/spawn-cli.ts';
import { shaken, TINY } from '../support/tiny.ts';
import { saveModel } from '../support/saved.ts';

const weights = shaken(TINY, random(1, 1));
const data = { mean: [0.5, 0.4, 0.3], std: [0.2, 0.25, 0.3] };
const ids = { masks: 'ids', maskRatio: 0.75 } as const;

class Bytes implements Sink {
  readonly #parts: Uint8Array[] = [];
  async write(bytes: Uint8Array): Promise<void> {
    this.#parts.push(bytes.slice());
  }
  get all(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

async function written({ graph, info }: Exported): Promise<{ bytes: Buffer; model: ModelProto }> {
  const sink = new Bytes();
  await writeModel(graph, info, sink);
  return { bytes: sink.all, model: fromBinary(ModelProtoSchema, sink.all) };
}

const tensorsOf = (model: ModelProto) => new Map(model.graph!.initializer.map((tensor) => [tensor.name, tensor]));

test('the same weights give the same bytes', async () => {
  const [a, b] = [
    await written(exportMae(TINY, weights, data, ids)),
    await written(exportMae(TINY, weights, data, ids)),
  ];
  assert.ok(a.bytes.equals(b.bytes));
});

test('every parameter is in the file under its own name, matrices transposed', async () => {
  const tensors = tensorsOf((await written(exportMae(TINY, weights, data, ids))).model);
  for (const { name, shape } of parameterSpecs(TINY)) {
    const value = weights.get(name) as Float32Array;
    const own = tensors.get(name);
    if (own) {
      assert.equal(own.dims.map(Number), shape);
      assert.ok(Buffer.from(own.rawData).equals(Buffer.from(value.buffer)));
      continue;
    }
    const turned = tensors.get(`${name}.T`);
    assert.ok(turned, `${name} is nowhere`);

    const [rows, columns] = shape;
    assert.equal(turned.dims.map(Number), [columns, rows]);
    const values = new Float32Array(new Uint8Array(turned.rawData).buffer);
    assert.equal(
      values,
      Float32Array.from(values, (_, i) => value[(i % rows) * columns + Math.floor(i / rows)]),
    );
  }
});

test('nodes come after what they need, and every value has one maker', async () => {
  for (const made of [exportEncoder(TINY, weights, data), exportMae(TINY, weights, data, ids)]) {
    const { graph } = (await written(made)).model;
    const known = new Set([...graph!.input, ...graph!.initializer].map(({ name }) => name));
    for (const { name, input, output } of graph!.node) {
      for (const value of input) assert.ok(known.has(value), `${name} needs ${value}`);
      for (const value of output) {
        assert.not(known.has(value), `${value} is made twice`);
        known.add(value);
      }
    }
    for (const { name } of graph!.output) assert.ok(known.has(name));
    assert.is(new Set(graph!.node.map(({ name }) => name)).size, graph!.node.length, 'names of nodes are their own');
  }
});

test('weights beside the graph: whole, aligned, apart; small tensors stay', async () => {
  const config = configure('mae_vit_nano_patch4_32');
  const { graph, info } = exportEncoder(config, shaken(config, random(2, 1)), data);
  const [sink, beside, alone] = [new Bytes(), new Bytes(), new Bytes()];
  const sizes = await writeModel(graph, info, sink, { location: 'x.onnx.data', sink: beside });
  assert.equal(sizes, { model: sink.all.length, external: beside.all.length });
  await writeModel(graph, info, alone);
  const inline = tensorsOf(fromBinary(ModelProtoSchema, alone.all));
  let end = 0;
  let moved = 0;
  for (const [name, tensor] of tensorsOf(fromBinary(ModelProtoSchema, sink.all))) {
    const want = Buffer.from(inline.get(name)!.rawData);
    if (tensor.dataLocation !== Location.EXTERNAL) {
      assert.ok(want.length < 1024 && want.equals(Buffer.from(tensor.rawData)), name);
      continue;
    }
    const entries = Object.fromEntries(tensor.externalData.map(({ key, value }) => [key, value]));
    const [offset, length] = [Number(entries.offset), Number(entries.length)];
    assert.is(entries.location, 'x.onnx.data');
    assert.is(tensor.rawData.length, 0);
    assert.ok(offset >= end && offset % 4096 === 0, name);
    assert.ok(beside.all.subarray(offset, offset + length).equals(want), name);
    end = offset + length;
    moved += length;
  }
  assert.is(end, beside.all.length);
  assert.ok(moved > 0.9 * weightBytes(graph));
});

test('a file says what its user must repeat', async () => {
  const { model } = await written(exportMae(TINY, weights, data, { masks: 'noise', maskRatio: 0.5 }));
  const told = Object.fromEntries(model.metadataProps.map(({ key, value }) => [key, value]));
  assert.equal(JSON.parse(told.image_mean), data.mean);
  assert.equal(JSON.parse(told.image_std), data.std);
  assert.equal(JSON.parse(told.image_size), [8, 12]);
  assert.equal(told.mask_ratio, '0.5');
  assert.equal(told.norm_pix_loss, 'true');
  assert.equal(JSON.parse(told.config), TINY);
  assert.is(Number(told.num_patches), patchesOf(TINY));
  assert.equal([model.irVersion, model.opsetImport.map(({ version }) => version)], [8n, [20n]]);
});

test('weights of another model are refused by name', async () => {
  const wider = { ...TINY, embed_dim: 32 };
  assert.throws(() => exportEncoder(wider, weights, data), /onnx: cls_token|onnx: \S+ must have/);
  assert.throws(
    () => exportEncoder({ ...TINY, depth: 3 }, weights, data),
    /onnx: the weights lack blocks\.2\.norm1\.weight/,
  );
});

test('the exporter is bundled for browsers as it is', async () => {
  const entryPoints = [fileURLToPath(new URL('../../mae/onnx/export.ts', import.meta.url))];
  const options = {
    entryPoints,
    bundle: true,
    format: 'esm',
    platform: 'browser',
    write: false,
    minify: true,
  } as const;
  const { outputFiles, errors } = await build({ ...options, logLevel: 'silent' });
  assert.equal(errors, []);
  const { exportEncoder: alone, writeModel: write } = await import(
    `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`
  );
  const sink = new Bytes();
  const { graph, info } = alone(TINY, weights, data) as Exported;
  await write(graph, info, sink);
  assert.ok(sink.all.equals((await written(exportEncoder(TINY, weights, data))).bytes));
});

const scratch = new Scratch();
test.before.each(scratch.make);
test.after.each(scratch.remove);

async function checkpoint(): Promise<string> {
  const path = join(scratch.root, 'checkpoint.safetensors');
  await saveModel(path, { weights, data: { name: 'made up', ...data, classes: null } });
  return path;
}

test('tesserae onnx writes the graph that is asked for, and says what goes in and comes out', async () => {
  const path = await checkpoint();
  const out = join(scratch.root, 'deeper', 'mae.onnx');
  const { code, out: said, err } = await cli(['onnx', path, out, '--graph', 'mae', '--external_data']);
  assert.is(code, 0, err);
  assert.match(said, /in +pixel_values +\(batch, 3, 8, 12\)/);
  assert.match(said, /in +noise +\(batch, 6\) +uniform in \[0, 1\): the 3 patches/);
  assert.match(said, /out +reconstruction +\(batch, 3, 8, 12\)/);
  assert.equal(readdirSync(join(scratch.root, 'deeper')).sort(), ['mae.onnx', 'mae.onnx.data']);
  const model = fromBinary(ModelProtoSchema, readFileSync(out));
  assert.is(model.producerName, 'tesserae');
});

test('what tesserae onnx cannot do ends in one line, and leaves no file', async () => {
  const path = await checkpoint();
  const wrong: [string[], number, RegExp][] = [
    [[path, 'out.pb'], 2, /out\.pb: a name that ends in \.onnx is needed/],
    [[path, 'out.onnx', '--masks', 'ids'], 2, /--masks is for --graph mae; this is the encoder/],
    [[path, 'out.onnx', '--graph', 'classifier'], 1, /holds a masked autoencoder/],
    [[join(scratch.root, 'none.safetensors'), 'out.onnx'], 1, /none\.safetensors: No such file/],
  ];
  const within = (arg: string): string => (arg.startsWith('out.') ? join(scratch.root, arg) : arg);
  const ended = await Promise.all(wrong.map(([args]) => cli(['onnx', ...args.map(within)])));
  for (const [i, { code, err }] of ended.entries()) {
    const [, want, line] = wrong[i];
    assert.is(code, want, err);
    assert.match(err.trim(), line);
    assert.is(err.trim().split('\n').length, 1, err);
  }
  assert.equal(readdirSync(scratch.root), ['checkpoint.safetensors']);
});
test.run();
