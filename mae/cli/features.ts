// `tesserae features CHECKPOINT DATA --output FILE`: what the encoder knows of every image, for search, clustering and heads of one's own.
import type { Command } from 'commander';
import { bytesText } from '../bytes.ts';
import type { Dataset } from '../data/dataset.ts';
import { FEATURES, type Feature } from '../model/features.ts';
import { oneOf, text, whole } from '../train/flags.ts';
import { asUsage, misuse, suggestion } from '../usage.ts';
import { columns, examples, type Flags, globalsOf, openEngine, value, WEIGHTS_HELP } from './command.ts';
import { interruptible } from './interrupt.ts';
import { imageRate, makeReporter } from './progress.ts';

const SPLITS = ['train', 'val', 'test'] as const;

export function define(command: Command): void {
  command
    .argument('<checkpoint>', WEIGHTS_HELP)
    .argument(
      '<data>',
      'images: a folder, cifar10 or another name, .tar shards, .parquet, .npy (tesserae data lists them)',
    )
    .option('--output <FILE>', 'where they go: .safetensors, .npy or .parquet')
    .option('--features <LIST>', 'cls, gap (mean over patches), patch_tokens, commas between (default: cls,gap)')
    .option(
      '--layer <N>',
      'after so many blocks, without a norm; 0: the embedded patches (default: all, and the final norm)',
    )
    .option('--split <NAME>', 'of data that is divided: train, val or test (default: train)')
    .option('--batch_size <N>', 'images at a time (default: 64)')
    .addHelpText(
      'after',
      `
Nothing is masked and nothing random. Of every image the centre is seen, resized to the size of the model. Damaged images are told and left out.
  .safetensors  a tensor a feature, (images, width) or (images, patches, width), and labels; ids and classes as JSON in the metadata
  .npy          one feature; ids, labels and classes in a .csv beside it
  .parquet      a row an image: id, label, class, and a list of floats a feature; of patch_tokens far slower to write than the others
An id is the file's path within DATA, a key within its shard, or a number. The file is written as the images are read and has its name once it is
whole: what is in memory does not grow with the number of images.
${examples(
  [
    'tesserae features runs/photos/checkpoint.safetensors photos --output photos.parquet',
    'cls and gap of every image, with its path',
  ],
  [
    'tesserae features runs/photos/checkpoint.safetensors photos --output tokens.npy --features patch_tokens --layer 9',
    'every patch after the ninth block',
  ],
)}`,
    )
    .action(run);
}

async function run(path: string, dataPath: string, flags: Flags, command: Command): Promise<void> {
  const out =
    value(flags, 'output', text('FILE')) ?? misuse('--output is missing: name a .safetensors, .npy or .parquet file');
  const kinds = featuresIn(value(flags, 'features', text('LIST')) ?? 'cls,gap');
  const layer = value(flags, 'layer', whole(0));
  const split = value(flags, 'split', oneOf(SPLITS)) ?? 'train';
  const batchSize = value(flags, 'batch_size', whole(1)) ?? 64;
  const [{ dirname, basename, resolve }, { makeFolder, removeStrayTemporaries }, { kindOf }, { writeFeatures }] =
    await Promise.all([
      import('node:path'),
      import('../../engine/node/files.ts'),
      import('../features/file.ts'),
      import('../features/write.ts'),
    ]);
  if (asUsage(() => kindOf(out)) === 'npy' && kinds.length > 1)
    misuse(
      `--output ${out}: an .npy file holds one array: --features ${kinds[0]}, or a .safetensors file for ${kinds.join(' and ')}`,
    );
  const [{ VisionEncoder }, { loadEncoder }, { openData }, { withChannels }] = await Promise.all([
    import('../model/encoder.ts'),
    import('../weights/node.ts'),
    import('../data/open.ts'),
    import('../data/channels.ts'),
  ]);
  const reporter = makeReporter();
  await interruptible(reporter, (stop) => extract(stop), {
    first: `interrupted: ${out} is not written`,
    again: 'interrupted again: ended at once',
    late: `interrupted: ended; ${out} was not written`,
    ended: 'what was there before is as it was',
  });

  async function extract(stop: AbortSignal): Promise<void> {
    const folder = dirname(resolve(out));
    await makeFolder(folder, 'save');
    await removeStrayTemporaries(folder);
    const checkpoint = await loadEncoder(path, { demandNorm: layer === undefined, progress: reporter.fetching });
    const { config, weights } = checkpoint;
    if (layer !== undefined && layer > config.depth) misuse(`--layer ${layer}: the encoder has ${config.depth} blocks`);
    const { train, heldout, test } = await openData(dataPath, reporter.fetching);
    const asked: Dataset | null = { train, val: heldout, test }[split as (typeof SPLITS)[number]];
    const images = withChannels(asked ?? misuse(`--split ${split}: ${dataPath} has none`), config.in_chans);
    using engine = await openEngine(globalsOf(command), { note: reporter.note });
    const model = new VisionEncoder(engine, config, weights);
    const rate = imageRate();
    const written = await writeFeatures(engine, model, images, out, {
      ...checkpoint.data,
      kinds,
      layer,
      batchSize,
      metadata: { made_by: 'tesserae features', checkpoint: basename(path) },
      progress: (done, count) => reporter.fetching(done / count, `features of ${images.name}`, rate(done)),
      note: reporter.note,
      stop,
    });
    reporter.finish();
    if (!written) return;
    const { table, files } = written;
    const rows = table.columns.map(({ name, shape }) => [name, `(${[table.count, ...shape].join(', ')})`]);
    const sizes = [...files].map(([file, bytes]) => `${file}: ${bytesText(bytes)}`);
    process.stdout.write(`${[...columns(rows), `${rate(table.count)}; ${sizes.join(', ')}`].join('\n')}\n`);
  }
}

/** `cls,gap` to its parts. */
function featuresIn(list: string): Feature[] {
  const names = list.split(',').filter(Boolean);
  const wrong = names.find((name) => !(FEATURES as readonly string[]).includes(name));
  if (wrong !== undefined || !names.length)
    misuse(
      `--features must be of ${FEATURES.join(', ')}, with commas between, got ${wrong ?? "''"}${suggestion(wrong ?? '', FEATURES)}`,
    );
  return [...new Set(names)] as Feature[];
}
