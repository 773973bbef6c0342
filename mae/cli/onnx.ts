// `tesserae onnx CHECKPOINT OUT.onnx`: a trained model for ONNX Runtime, onnxruntime-web and all else that reads ONNX.
import { basename, dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import type { Exported, MaskInput } from '../onnx/export.ts';
import { oneOf, real } from '../train/flags.ts';
import { misuse } from '../usage.ts';
import { VERSION } from '../version.ts';
import { bytesText } from '../bytes.ts';
import { columns, examples, type Flags, flagsUnder, outOf, pasted, value } from './command.ts';

const GRAPHS = ['encoder', 'mae', 'classifier'] as const;

export function define(command: Command): void {
  command
    .argument(
      '<checkpoint>',
      'a checkpoint of pretrain, finetune or linprobe, or weights of other projects (tesserae convert tells which)',
    )
    .argument('[out]', 'the file to write; its name ends in .onnx')
    .option('--output <FILE>', 'the same as OUT')
    .option('--graph <NAME>', 'encoder, mae or classifier (default: classifier of a classifier, else encoder)')
    .option('--external_data', 'weights in OUT.onnx.data beside the graph; always so above 2 GB, where ONNX needs it')
    .option('--ema', 'the averaged weights of a classifier, where the run kept them');
  const forMae = flagsUnder(command, 'With --graph mae');
  forMae(
    '--masks <NAME>',
    'noise: the patches of least noise stay; ids: ids_keep and ids_restore are given (default: noise)',
  );
  forMae('--mask_ratio <X>', 'part of the patches that noise removes (default: as in training)');
  command.addHelpText(
    'after',
    `
Every graph takes pixel_values (batch, channels, height, width) in f32, for any batch: opset 20, IR 8.
  encoder     last_hidden_state (batch, 1 + patches, width), and of it cls, gap and patch_tokens; nothing is masked
  mae         and noise, or ids_keep and ids_restore: logits, mask, reconstruction (an image, normalised as the input is)
  classifier  logits (batch, classes)
The file's metadata_props hold image_mean, image_std, image_size, id2label and all else that its user must repeat.
${examples(
  [
    'tesserae onnx runs/photos/checkpoint.safetensors encoder.onnx',
    'features for search, retrieval, a head of your own',
  ],
  [
    'tesserae onnx runs/finetuned/checkpoint.safetensors classifier.onnx',
    'its classes are in the metadata, as id2label',
  ],
  [
    'tesserae onnx runs/photos/checkpoint.safetensors mae.onnx --graph mae --masks ids',
    'the autoencoder, with masks of your own',
  ],
)}`,
  );
  command.action(run);
}

async function run(path: string, place: string | undefined, flags: Flags): Promise<void> {
  const out = outOf(place, flags) ?? misuse(`onnx: name the file to write: tesserae onnx ${pasted(path)} OUT.onnx`);
  if (!/\.onnx$/i.test(out)) misuse(`${out}: a name that ends in .onnx is needed`);
  const [{ MOST_INLINE, weightBytes, writeModel }, { AtomicFile }, { makeFolder, removeStrayTemporaries }] =
    await Promise.all([
      import('../onnx/export.ts'),
      import('../../engine/node/atomic-file.ts'),
      import('../../engine/node/files.ts'),
    ]);
  const { graph, info } = await exported(path, flags);
  const folder = dirname(resolve(out));
  await makeFolder(folder, 'save');
  await removeStrayTemporaries(folder);
  const apart = flags.external_data === true || weightBytes(graph) > MOST_INLINE;
  const name = `${basename(out)}.data`;
  await using model = await AtomicFile.create(out);
  await using data = apart ? await AtomicFile.create(`${out}.data`) : null;
  await writeModel(graph, { ...info, version: VERSION }, model, data ? { location: name, sink: data } : undefined);
  await data?.commit();
  await model.commit();
  const sizes = [`${out}: ${bytesText(model.length)}`, ...(data ? [`${out}.data: ${bytesText(data.length)}`] : [])];
  const rows = [
    ...graph.inputs.map((each) => ['in', each] as const),
    ...graph.outputs.map((each) => ['out', each] as const),
  ];
  const table = rows.map(([way, { name, type, docString }]) => [way, name, shapeOf(type), docString]);
  process.stdout.write(`${[...columns(table), `${info.name} in ${sizes.join(', ')}`].join('\n')}\n`);
}

type Type = Exported['graph']['inputs'][number]['type'];

const shapeOf = (type: Type): string => {
  const dims = type?.value.case === 'tensorType' ? (type.value.value.shape?.dim ?? []) : [];
  return `(${dims.map(({ value: size }) => String(size.value)).join(', ')})`;
};

async function exported(path: string, flags: Flags): Promise<Exported> {
  const asked = value(flags, 'graph', oneOf(GRAPHS));
  const masks = value(flags, 'masks', oneOf(['noise', 'ids'])) as MaskInput | undefined;
  const maskRatio = value(flags, 'mask_ratio', real({ open: true, below: 1 }));
  const [{ exportClassifier, exportEncoder, exportMae }, { kindAt, loadEncoder }] = await Promise.all([
    import('../onnx/export.ts'),
    import('../weights/node.ts'),
  ]);
  const graph = asked ?? ((await kindAt(path)) === 'classifier' ? 'classifier' : 'encoder');
  if (graph !== 'mae' && (masks !== undefined || maskRatio !== undefined))
    misuse(`--${masks === undefined ? 'mask_ratio' : 'masks'} is for --graph mae; this is the ${graph}`);
  if (masks === 'ids' && maskRatio !== undefined)
    misuse('--mask_ratio is for --masks noise: with ids the one who runs the graph says how many stay');
  if (graph === 'classifier') {
    const { loadClassifier, weightsOf } = await import('../finetune/checkpoint.ts');
    const loaded = await loadClassifier(path);
    return exportClassifier(loaded.config, weightsOf(loaded, path, flags.ema === true), loaded.data);
  }
  if (flags.ema) misuse('--ema is for classifiers: pretraining keeps no averaged weights');
  if (graph === 'encoder') {
    const { config, weights, data } = await loadEncoder(path, { demandNorm: true });
    return exportEncoder(config, weights, data);
  }
  const { loadCheckpoint } = await import('../train/checkpoint.ts');
  const { config, weights, data, maskRatio: trained } = await loadCheckpoint(path);
  return exportMae(config, weights, data, { masks: masks ?? 'noise', maskRatio: maskRatio ?? trained });
}
