// `tesserae eval CHECKPOINT`: top-1, top-5, loss and confusion of a classifier.
import { DATA_PATH_HELP } from '../data/help.ts';
import { type Command, Option } from 'commander';
import picocolors from 'picocolors';
import { SPLITS } from '../evaluate/open.ts';
import { oneOf, part, text, whole } from '../train/flags.ts';
import { misuse } from '../usage.ts';
import { columns, examples, type Flags, globalsOf, makeFolderOf, openEngine, value, WEIGHTS_HELP } from './command.ts';
import { SPLIT_FLAGS, splitIn } from './evaluation.ts';
import { imageRate, makeReporter } from './progress.ts';

export function define(command: Command): void {
  command
    .argument('<checkpoint>', `a classifier (of finetune, linprobe, or of others): ${WEIGHTS_HELP}`)
    .option('--data_path <PATH>', DATA_PATH_HELP)
    .option('--split <NAME>', `${SPLITS.join(' or ')} (default: val)`)
    .option(...SPLIT_FLAGS[0])
    .option(...SPLIT_FLAGS[1])
    .option('--ema', 'the averaged weights, where the run kept them')
    .option(
      '--crop_pct <X>',
      'resize the short side to size / X and cut out the centre (default: 0.875 for models of 65 to 224 pixels, as the reference, else 1)',
    )
    .option('--batch_size <N>', 'images at a time (default: 128)')
    .option('--output <FILE>', 'draw what was taken for what, as .svg or .png (default: no picture)')
    .addOption(new Option('--confusion <FILE>').hideHelp())
    .option('--json <FILE>', 'write all numbers, the confusion matrix included')
    .addHelpText(
      'after',
      examples(
        [
          'tesserae eval runs/finetuned/checkpoint.safetensors --data_path cifar10 --split test --output confusion.png',
          'on images that nothing was trained or chosen on, with the picture',
        ],
        ['tesserae eval runs/quickstart/linprobe-gap.safetensors --data_path cifar10', 'a linear probe'],
      ),
    )
    .action(evaluate);
}

/** `flags`: of those above. */
export async function evaluate(path: string, flags: Flags, command: Command): Promise<void> {
  const data_path =
    value(flags, 'data_path', text('PATH')) ??
    misuse('--data_path is missing: name a folder of images by class, or cifar10');
  const split = value(flags, 'split', oneOf(SPLITS)) ?? 'val';
  const cropPct = value(flags, 'crop_pct', part());
  const batchSize = value(flags, 'batch_size', whole(1)) ?? 128;
  if (flags.output !== undefined && flags.confusion !== undefined)
    misuse('--confusion and --output mean the same: keep one');
  const picture = value(flags, 'output', text('FILE')) ?? value(flags, 'confusion', text('FILE'));
  if (picture !== undefined && !/\.(svg|png)$/i.test(picture))
    misuse(`--output must end in .svg or .png, got ${picture}: the picture of what was taken for what`);
  const json = value(flags, 'json', text('FILE'));
  if (picture !== undefined) await makeFolderOf(picture, '--output');
  if (json !== undefined) await makeFolderOf(json, '--json');
  const [{ loadClassifier, weightsOf }, { labelledData }, { Classifier }, { Judge }, { withChannels }] =
    await Promise.all([
      import('../finetune/checkpoint.ts'),
      import('../evaluate/open.ts'),
      import('../model/classifier.ts'),
      import('../finetune/evaluate.ts'),
      import('../data/channels.ts'),
    ]);
  const reporter = makeReporter();
  const loaded = await loadClassifier(path, { progress: reporter.fetching });
  const { config, data } = loaded;
  const weights = weightsOf(loaded, path, flags.ema === true);
  const { recipe } = loaded.training ?? {};
  const opened = await labelledData(data_path, reporter.fetching, { asked: splitIn(flags), recipe });
  const { classes } = opened;
  const chosen =
    split === 'test'
      ? (opened.test ?? misuse(`--split test: ${data_path} has no test images; give it a folder test/`))
      : opened.val;
  const images = withChannels(chosen, config.in_chans);
  // Weights of others may name no classes: theirs are the folders in order, as here.
  const unnamed = data.classes.every((name, i) => name === String(i)) && data.classes.length === classes.length;
  if (!unnamed && String(classes) !== String(data.classes)) {
    misuse(
      `eval: ${path} tells ${data.classes.length} classes apart (${data.classes.slice(0, 3).join(', ')}, …), ${data_path} has ${classes.length} (${classes.slice(0, 3).join(', ')}, …)`,
    );
  }
  using engine = await openEngine(globalsOf(command), { note: reporter.note });
  try {
    const classifier = new Classifier(engine, config, weights);
    const rate = imageRate();
    const progress = (done: number, count: number): void =>
      reporter.fetching(done / count, `images of ${images.name}`, rate(done));
    const judge = new Judge(engine, classifier, { ...data, batchSize, cropPct, progress, note: reporter.note });
    const metrics = await judge.metrics(images);
    const pace = rate(metrics.images);
    reporter.finish();
    const percent = (x: number): string => `${x.toFixed(2)} %`;
    const head = ['split', 'images', 'top-1', 'top-5', 'loss'].map((name) => picocolors.dim(name));
    const row = [split, String(metrics.images), percent(metrics.top1), percent(metrics.top5), metrics.loss.toFixed(4)];
    for (const line of columns([head, row], [1, 2, 3, 4])) process.stdout.write(`${line}\n`);
    process.stdout.write(`${pace}\n`);
    const { writeFileAtomic } = await import('../../engine/node/files.ts');
    if (picture !== undefined) {
      const { confusionPicture } = await import('../pictures/confusion.ts');
      await writeFileAtomic(picture, await confusionPicture(metrics.confusion, classes, /\.png$/i.test(picture)));
      process.stdout.write(`what was taken for what is in ${picture}\n`);
    }
    if (json !== undefined) {
      const record = {
        checkpoint: path,
        data_path,
        split,
        ...metrics,
        confusion: metrics.confusion.map((r) => [...r]),
        classes,
      };
      await writeFileAtomic(json, Buffer.from(`${JSON.stringify(record)}\n`));
      process.stdout.write(`all numbers are in ${json}\n`);
    }
  } finally {
    reporter.finish();
  }
}
