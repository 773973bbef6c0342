// `tesserae classify CHECKPOINT IMAGE…`: what a classifier takes images for.
import type { Command } from 'commander';
import picocolors from 'picocolors';
import { part, whole } from '../train/flags.ts';
import { columns, examples, type Flags, globalsOf, openEngine, value, WEIGHTS_HELP } from './command.ts';

export function define(command: Command): void {
  command
    .argument('<checkpoint>', `a classifier (of finetune, linprobe, or of others): ${WEIGHTS_HELP}`)
    .argument('<images...>', 'JPEG, PNG or WebP files; their centres are resized to the size that the model sees')
    .option('--top <N>', 'classes to name for every image (default: 5)')
    .option('--ema', 'the averaged weights, where the run kept them')
    .option('--crop_pct <X>', 'as in tesserae eval')
    .addHelpText('after', examples(['tesserae classify runs/finetuned/checkpoint.safetensors cat.jpg dog.png', '']))
    .action(run);
}

async function run(path: string, files: string[], flags: Flags, command: Command): Promise<void> {
  const top = value(flags, 'top', whole(1)) ?? 5;
  const cropPct = value(flags, 'crop_pct', part());
  const [{ loadClassifier, weightsOf }, { imageFiles }, { Classifier }, { Judge }] = await Promise.all([
    import('../finetune/checkpoint.ts'),
    import('../data/imagefolder.ts'),
    import('../model/classifier.ts'),
    import('../finetune/evaluate.ts'),
  ]);
  const loaded = await loadClassifier(path);
  const { config, data } = loaded;
  const weights = weightsOf(loaded, path, flags.ema === true);
  const { mean, std, classes } = data;
  const images = await imageFiles(files, { channels: config.in_chans, mean, std });
  using engine = await openEngine(globalsOf(command));
  const classifier = new Classifier(engine, config, weights);
  const judge = new Judge(engine, classifier, { mean, std, batchSize: Math.min(64, files.length), cropPct });
  const rows: string[][] = [];
  await judge.run(images, (logits) => {
    for (let i = 0; i * classes.length < logits.length; i++) {
      const file = files[rows.length];
      const best = likeliest(logits.subarray(i * classes.length, (i + 1) * classes.length), top);
      rows.push([
        picocolors.bold(file),
        best.map(({ at, p }) => `${classes[at]} ${(100 * p).toFixed(1)} %`).join(', '),
      ]);
    }
  });
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
