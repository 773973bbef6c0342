// `tesserae reconstruct CHECKPOINT IMAGE…`: what a trained model makes of images of which it sees a part.
import type { Command } from 'commander';
import type { Dataset } from '../data/dataset.ts';
import { lenKeep, patchesOf } from '../model/config.ts';
import { patchNumbers } from '../model/masks.ts';
import type { ReconstructOptions } from '../reconstruct.ts';
import { real, text, whole } from '../train/flags.ts';
import type { Checkpoint } from '../train/checkpoint.ts';
import { misuse } from '../usage.ts';
import { columns, examples, type Flags, globalsOf, openEngine, value } from './command.ts';

export function define(command: Command): void {
  command
    .argument('<checkpoint>', 'a checkpoint.safetensors of pretrain')
    .argument('<images...>', 'JPEG, PNG or WebP files; their centres are resized to the size that the model sees')
    .option('--mask_ratio <X>', 'part of the patches that is removed (default: as in training)')
    .option(
      '--ids_keep <LIST>',
      'patches that stay, as 0,3,8-11, counted from the upper left one on; instead of a ratio',
    )
    .option('--seed <N>', 'another seed removes other patches (default: 0)')
    .option('--output <FILE>', 'where the picture goes (default: reconstruction.png)')
    .addHelpText(
      'after',
      examples(
        [
          'tesserae reconstruct runs/quickstart/checkpoint.safetensors cat.jpg dog.png',
          'a picture: original | masked | reconstruction | pasted',
        ],
        [
          'tesserae reconstruct runs/photos/checkpoint.safetensors *.jpg --mask_ratio 0.5 --output half.png',
          'an easier task than the one that it was trained for',
        ],
        [
          'tesserae reconstruct runs/quickstart/checkpoint.safetensors cat.jpg --ids_keep 0-31',
          'the upper half is seen, the lower half made up',
        ],
      ),
    )
    .action(run);
}

async function run(path: string, files: string[], flags: Flags, command: Command): Promise<void> {
  const output = value(flags, 'output', text('FILE')) ?? 'reconstruction.png';
  if (!/\.png$/i.test(output)) misuse(`--output must end in .png, got ${output}`);
  const seed = value(flags, 'seed', whole(0)) ?? 0;
  const asked = value(flags, 'mask_ratio', real({ open: true, below: 1 }));
  const [{ loadCheckpoint }, { imageFiles }] = await Promise.all([
    import('../train/checkpoint.ts'),
    import('../data/imagefolder.ts'),
  ]);
  const checkpoint = await loadCheckpoint(path);
  const { config, data } = checkpoint;
  const maskRatio = asked ?? checkpoint.maskRatio;
  const patches = patchesOf(config);
  const list = value(flags, 'ids_keep', text('LIST'));
  if (list !== undefined && asked !== undefined) misuse('--ids_keep says what stays: leave out --mask_ratio');
  const idsKeep = list === undefined ? undefined : patchNumbers('--ids_keep', list, patches);
  const keep = idsKeep?.length ?? lenKeep(patches, maskRatio);
  if (keep === patches)
    misuse(`--mask_ratio ${maskRatio} removes none of ${patches} patches: raise it above ${1 / patches}`);
  const { mean, std } = data;
  const images = await imageFiles(files, { channels: config.in_chans, mean, std });
  using engine = await openEngine(globalsOf(command));
  await draw(engine, checkpoint, images, files, { maskRatio, idsKeep, seed, output });
  process.stdout.write(`${keep} of ${patches} patches were seen; the picture is ${output}\n`);
}

async function draw(
  engine: Awaited<ReturnType<typeof openEngine>>,
  { config, weights, data }: Checkpoint,
  images: Dataset,
  files: readonly string[],
  { output, ...how }: ReconstructOptions & { output: string },
): Promise<void> {
  const [{ MaskedAutoencoder }, { reconstruct }, { panel }, { writePng }] = await Promise.all([
    import('../model/model.ts'),
    import('../reconstruct.ts'),
    import('../pictures/panel.ts'),
    import('../pictures/png.ts'),
  ]);
  const model = new MaskedAutoencoder(engine, config, weights);
  const results = await reconstruct(engine, model, images, how);
  const rows = results.map((r) => ({ ...r, caption: `masked loss ${r.loss.toFixed(4)}` }));
  await writePng(output, panel(rows, { config, mean: data.mean, std: data.std }));
  const table = columns([['image', 'masked loss'], ...results.map((r) => [files[r.id], r.loss.toFixed(4)])], [1]);
  process.stdout.write(`${table.join('\n')}\n`);
}
