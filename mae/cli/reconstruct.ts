// `tesserae reconstruct CHECKPOINT IMAGE…`: what a trained model makes of images of which it sees a part.
import type { Command } from 'commander';
import type { Engine } from '../../engine/engine.ts';
import type { Dataset } from '../data/dataset.ts';
import type { Scored } from '../pictures/panel.ts';
import type { Passes } from '../reconstruct.ts';
import type { View } from '../render/rebuilt.ts';
import type { Quality } from '../render/quality.ts';
import type { Checkpoint } from '../train/checkpoint.ts';
import { text, whole } from '../train/flags.ts';
import { misuse } from '../usage.ts';
import { askedMasks, growing, type Masks, masksFor } from './chosen-masks.ts';
import { columns, examples, type Flags, globalsOf, makeFolderOf, openEngine, value, WEIGHTS_HELP } from './command.ts';

/** Images of a folder that are shown unless said, and those of an animation. */
const MOST = 48;
const MOST_ANIMATED = 4;
/** Frames of an animation, and how long one is shown; the last longer. */
const FRAMES = 19;
const [FRAME_MS, LAST_MS] = [300, 1500];

export function define(command: Command): void {
  command
    .argument('<checkpoint>', `an autoencoder: ${WEIGHTS_HELP}`)
    .argument(
      '<images...>',
      'images, folders of them, or sets by name (cifar10: its test images); their centres are resized to the size that the model sees',
    )
    .option('--mask_ratio <X>', 'part of the patches that is removed (default: as in training)')
    .option(
      '--ids_keep <LIST>',
      'patches that stay, as 0,3,8-11, counted from the upper left one on; instead of a ratio',
    )
    .option('--seed <N>', 'another seed removes other patches (default: 0)')
    .option(
      '--mask <NAME|FILE>',
      'a pattern: random (the default), block, grid or bernoulli; or a file that says exactly which patches are removed: an image in which they are white, a pixel a patch or a whole number of times larger, or JSON, a list of removed patches, {"ids_keep": [...]} or {"mask": [...]} of zeros and ones',
    )
    .option(
      '--rect <X,Y,WxH>',
      'remove what this rectangle touches, in pixels of the image as the model sees it; may be given again',
      (given: string, before: string[] = []) => [...before, given],
    )
    .option(
      '--passes <K>',
      'K masks that together remove every patch once or more; shows the whole image rebuilt, and its errors',
    )
    .option('--animation <FILE>', 'a .webp or .gif in which more and more patches are removed, instead of the picture')
    .option('--images <N>', `of a folder or set, evenly taken (default: ${MOST}, of an animation ${MOST_ANIMATED})`)
    .option('--output <FILE>', 'where the picture goes (default: reconstruction.png)')
    .addHelpText('after', NOTE)
    .addHelpText(
      'after',
      examples(
        [
          'tesserae reconstruct runs/quickstart/checkpoint.safetensors cat.jpg dog.png',
          'a picture: original | masked | reconstruction | pasted',
        ],
        [
          'tesserae reconstruct runs/quickstart/checkpoint.safetensors cifar10 --images 60',
          'a contact sheet of test images',
        ],
        [
          'tesserae reconstruct runs/photos/checkpoint.safetensors holiday/ --passes 4',
          'whole photographs from a quarter at a time, and where that fails',
        ],
        ['tesserae reconstruct runs/photos/checkpoint.safetensors cat.jpg --rect 80,48,96x96', 'without what is there'],
        [
          'tesserae reconstruct runs/photos/checkpoint.safetensors cat.jpg --animation cat.webp',
          'from 5 to 95 % removed',
        ],
        [
          'tesserae reconstruct runs/quickstart/checkpoint.safetensors cat.jpg --ids_keep 0-31',
          'the upper half is seen, the lower half made up',
        ],
      ),
    )
    .action(run);
}

const NOTE = `
PSNR and SSIM are of removed patches alone, on pixels in [0, 1]: PSNR of their values; SSIM by scikit-image's definition (Gaussian
windows of 11 x 11, sigma 1.5) of the pasted image, its mean over their pixels.

A model trained with --norm_pix_loss predicts patches without their brightness and contrast. Its pictures show both honest ways to add
them: patch statistics from the original, of which the model saw nothing there, and from visible neighbours alone.`;

async function run(path: string, names: string[], flags: Flags, command: Command): Promise<void> {
  const output = value(flags, 'output', text('FILE')) ?? 'reconstruction.png';
  if (!/\.png$/i.test(output)) misuse(`--output must end in .png, got ${output}`);
  const animation = value(flags, 'animation', text('FILE'));
  if (animation !== undefined && !/\.(webp|gif)$/i.test(animation))
    misuse(`--animation must end in .webp or .gif, got ${animation}`);
  if (animation !== undefined && flags.output !== undefined)
    misuse('--animation makes no picture beside it: leave --output out');
  const most = value(flags, 'images', whole(1, 1000)) ?? (animation ? MOST_ANIMATED : MOST);
  const asked = askedMasks(flags, (flags.rect as unknown as string[] | undefined) ?? [], animation !== undefined);
  const [{ loadCheckpoint }, { namedImages }, { makeReporter }] = await Promise.all([
    import('../train/checkpoint.ts'),
    import('../data/named-images.ts'),
    import('./progress.ts'),
  ]);
  const reporter = makeReporter();
  const checkpoint = await loadCheckpoint(path, { progress: reporter.fetching });
  const { config, data } = checkpoint;
  const masks = animation ? growing(asked, config, FRAMES) : await masksFor(asked, config, checkpoint.maskRatio);
  const { mean, std } = data;
  const images = await namedImages(names, { channels: config.in_chans, mean, std, most, progress: reporter.fetching });
  await makeFolderOf(animation ?? output, animation ? '--animation' : '--output');
  using engine = await openEngine(globalsOf(command));
  const drawn = new Drawn(engine, checkpoint, images, masks, reporter);
  if (animation) await drawn.animate(animation, growing(asked, config, FRAMES).keeps);
  else await drawn.picture(output);
  process.stdout.write(`${masks.text}; the ${animation ? 'animation' : 'picture'} is ${animation ?? output}\n`);
}

interface Watcher {
  note(line: string): void;
  fetching(fraction: number, what: string): void;
  finish(): void;
}

/** What becomes of a model's passes over images. */
class Drawn {
  readonly #engine: Engine;
  readonly #checkpoint: Checkpoint;
  readonly #images: Dataset;
  readonly #masks: Masks;
  readonly #watcher: Watcher;

  constructor(engine: Engine, checkpoint: Checkpoint, images: Dataset, masks: Masks, watcher: Watcher) {
    this.#engine = engine;
    this.#checkpoint = checkpoint;
    this.#images = images;
    this.#masks = masks;
    this.#watcher = watcher;
  }

  get #view(): View {
    const { config, data } = this.#checkpoint;
    return { config, mean: data.mean, std: data.std };
  }

  /** `draw` of every image that can be read, in order. */
  async #each<T>(draw: (passes: Passes, title: string) => T): Promise<T[]> {
    const [{ MaskedAutoencoder }, { rebuild }, { overReadable }] = await Promise.all([
      import('../model/model.ts'),
      import('../reconstruct.ts'),
      import('../data/damage.ts'),
    ]);
    const { config, weights } = this.#checkpoint;
    const model = new MaskedAutoencoder(this.#engine, config, weights);
    const images = this.#images;
    const all = await overReadable(images, this.#watcher.note, async (order) => {
      const made: T[] = [];
      for await (const passes of rebuild(this.#engine, model, images, this.#masks.of, [...order])) {
        made.push(draw(passes, images.title?.(passes.id) ?? ''));
        if (order.length > 8) this.#watcher.fetching(made.length / order.length, 'images rebuilt');
      }
      return made;
    });
    this.#watcher.finish();
    return all;
  }

  async picture(output: string): Promise<void> {
    const [panel, { readied, sheet }, { writePng }] = await Promise.all([
      import('../pictures/panel.ts'),
      import('../pictures/sheet.ts'),
      import('../pictures/png.ts'),
    ]);
    const view = this.#view;
    const covered = this.#masks.of(0).length > 1;
    const drawn = await this.#each(({ img, passes }, title) => {
      const strip = covered
        ? panel.coveredStrip(img, passes, view, title)
        : panel.strip({ img, ...passes[0] }, view, title);
      const loss = passes.reduce((sum, pass) => sum + pass.loss, 0) / passes.length;
      const row = [title, loss.toFixed(4), ...strip.quality.flatMap(figures)];
      return { strip: readied(strip, this.#images.length), row };
    });
    const strips = drawn.map(({ strip }) => strip);
    const groups = covered ? panel.coveredColumnsOf(view) : panel.columnsOf(view);
    const legend = covered ? panel.ERROR_LEGEND : undefined;
    // The numbers first: a disk that is full costs the picture alone.
    this.#table(drawn.map(({ row }) => row));
    await writePng(output, sheet(groups, strips, { notes: panel.notesOf(view), legend }));
  }

  #table(rows: readonly (readonly string[])[]): void {
    const of = this.#view.config.norm_pix_loss ? [' (statistics: original)', ' (neighbours)'] : [''];
    const head = ['image', 'masked loss', ...of.flatMap((which) => [`PSNR${which}`, 'SSIM'])];
    const right = head.map((_, c) => c).slice(1);
    process.stdout.write(`${columns([head, ...rows], right).join('\n')}\n`);
  }

  async animate(output: string, keeps: readonly number[]): Promise<void> {
    const [panel, { sheet }, { writeAnimation }] = await Promise.all([
      import('../pictures/panel.ts'),
      import('../pictures/sheet.ts'),
      import('../pictures/animation.ts'),
    ]);
    const view = this.#view;
    const strips: Scored[][] = await this.#each(({ img, passes }, title) =>
      passes.map((pass) => panel.strip({ img, ...pass }, view, title)),
    );
    const patches = this.#masks.of(0)[0].noise.length;
    const frames = keeps.map((keep, f) => {
      const removed = `${(100 * (1 - keep / patches)).toFixed(0)} % removed`;
      const notes = [...panel.notesOf(view), `${removed}: ${keep} of ${patches} patches are seen`];
      return sheet(
        panel.columnsOf(view),
        strips.map((frame) => frame[f]),
        { notes },
      );
    });
    await writeAnimation(
      output,
      frames,
      keeps.map((_, f) => (f === keeps.length - 1 ? LAST_MS : FRAME_MS)),
    );
  }
}

const figures = ({ psnr, ssim }: Quality): string[] => [`${psnr.toFixed(2)} dB`, ssim.toFixed(4)];
