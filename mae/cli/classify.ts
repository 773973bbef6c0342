// `tesserae classify CHECKPOINT IMAGE…`: what a classifier takes images for.
import type { Command } from 'commander';
import picocolors from 'picocolors';
import { part, whole } from '../train/flags.ts';
import { columns, examples, type Flags, globalsOf, openEngine, value, WEIGHTS_HELP } from './command.ts';
import { makeReporter } from './progress.ts';

const BATCH = 64;

export function define(command: Command): void {
  command
    .argument('<checkpoint>', `a classifier (of finetune, linprobe, or of others): ${WEIGHTS_HELP}`)
    .argument(
      '<images...>',
      'images, folders of them, or sets by name (cifar10: its test images); their centres are resized to the size that the model sees',
    )
    .option('--images <N>', 'of a folder or set, evenly taken (default: all)')
    .option('--top <N>', 'classes to name for every image (default: 5)')
    .option('--ema', 'the averaged weights, where the run kept them')
    .option('--crop_pct <X>', 'as in tesserae eval')
    .addHelpText(
      'after',
      examples(
        ['tesserae classify runs/finetuned/checkpoint.safetensors cat.jpg dog.png', ''],
        [
          'tesserae classify runs/finetuned/checkpoint.safetensors photos --top 1',
          'every image of a folder, a line each',
        ],
      ),
    )
    .action(run);
}

async function run(path: string, names: string[], flags: Flags, command: Command): Promise<void> {
  const top = value(flags, 'top', whole(1)) ?? 5;
  const cropPct = value(flags, 'crop_pct', part());
  const most = value(flags, 'images', whole(1)) ?? Number.POSITIVE_INFINITY;
  const [{ loadClassifier, weightsOf }, { namedImages }, { overReadable }, { Classifier }, { Judge }] =
    await Promise.all([
      import('../finetune/checkpoint.ts'),
      import('../data/named-images.ts'),
      import('../data/damage.ts'),
      import('../model/classifier.ts'),
      import('../finetune/evaluate.ts'),
    ]);
  const { note, fetching, finish } = makeReporter();
  const loaded = await loadClassifier(path, { progress: fetching });
  const { config, data } = loaded;
  const weights = weightsOf(loaded, path, flags.ema === true);
  const { mean, std, classes } = data;
  const images = await namedImages(names, { channels: config.in_chans, mean, std, most, progress: fetching });
  using engine = await openEngine(globalsOf(command), { note });
  const classifier = new Classifier(engine, config, weights);
  const progress = (done: number, count: number): void => {
    if (count > BATCH) fetching(done / count, 'images classified');
  };
  const options = { mean, std, batchSize: Math.min(BATCH, images.length), cropPct, progress };
  const judge = new Judge(engine, classifier, options);
  const rows = await overReadable(images, note, async (order) => {
    const found: string[][] = [];
    const each = (logits: Float32Array): void => {
      for (let i = 0; i * classes.length < logits.length; i++) {
        const id = order[found.length];
        const name = images.files[id] ?? images.title?.(id) ?? String(id);
        const best = likeliest(logits.subarray(i * classes.length, (i + 1) * classes.length), top);
        found.push([
          picocolors.bold(name),
          best.map(({ at, p }) => `${classes[at]} ${(100 * p).toFixed(1)} %`).join(', '),
        ]);
      }
    };
    await judge.run(images, each, order);
    return found;
  });
  finish();
  for (const line of columns(rows)) process.stdout.write(`${line}\n`);
}

/** Softmax of logits, the likeliest classes first. */
function likeliest(logits: Float32Array, count: number): { at: number; p: number }[] {
  const high = Math.max(...logits);
  const weights = Array.from(logits, (z) => Math.exp(z - high));
  const sum = weights.reduce((a, b) => a + b, 0);
  const all = weights.map((w, at) => ({ at, p: w / sum }));
  return all.sort((a, b) => b.p - a.p || a.at - b.at).slice(0, count);
}
