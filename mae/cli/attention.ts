// `tesserae attention CHECKPOINT IMAGE…`: where an encoder looks.
import type { Command } from 'commander';
import type { LayerAttention } from '../attention.ts';
import { type EncoderConfig, gridOf } from '../model/config.ts';
import type { AttentionBlock, NamedMap } from '../pictures/attention-grid.ts';
import { headMean } from '../render/attention.ts';
import { patchAt } from '../render/patches.ts';
import { oneOf, text, whole } from '../train/flags.ts';
import { misuse } from '../usage.ts';
import { columns, examples, type Flags, globalsOf, makeFolderOf, openEngine, value, WEIGHTS_HELP } from './command.ts';

const MOST = 4;
const STYLES = ['overlay', 'map'] as const;

export function define(command: Command): void {
  command
    .argument('<checkpoint>', `any encoder, a classifier's too: ${WEIGHTS_HELP}`)
    .argument(
      '<images...>',
      'images, folders of them, or sets by name (cifar10: its test images); their centres are resized to the size that the model sees',
    )
    .option(
      '--layer <N|all>',
      'the block that is looked into, the first being 1, head by head; all: every block, its heads averaged (default: the last)',
    )
    .option(
      '--from <cls|X,Y>',
      'who attends: the cls token, or the patch at this pixel of the image as the model sees it (default: cls)',
    )
    .option('--style <NAME>', `${STYLES.join(' or ')}: attention laid over the image, or alone (default: overlay)`)
    .option('--no_rollout', 'leave out the rollout, which needs the attention of all tokens in all blocks before')
    .option('--images <N>', `of a folder or set, evenly taken (default: ${MOST})`)
    .option('--output <FILE>', 'where the picture goes (default: attention.png)')
    .addHelpText('after', NOTE)
    .addHelpText(
      'after',
      examples(
        [
          'tesserae attention runs/photos/checkpoint.safetensors cat.jpg',
          'the last block: image | mean | rollout | every head',
        ],
        [
          'tesserae attention runs/photos/checkpoint.safetensors cat.jpg --layer all --style map',
          'from the first block to the last',
        ],
        [
          'tesserae attention runs/photos/checkpoint.safetensors cat.jpg --from 112,80',
          'what the patch at that pixel attends to',
        ],
      ),
    )
    .action(run);
}

const NOTE = `
Nothing is masked. A map shows the part of its attention that each patch gets, from black (none) to pale yellow (the most that a patch
gets, written below as max); what the cls token gets is written beside it. Rollout is Abnar and Zuidema's (2020): the product over all
blocks up to this one of (attention, averaged over heads, + identity) / 2.`;

async function run(path: string, names: string[], flags: Flags, command: Command): Promise<void> {
  const output = value(flags, 'output', text('FILE')) ?? 'attention.png';
  if (!/\.png$/i.test(output)) misuse(`--output must end in .png, got ${output}`);
  const style = value(flags, 'style', oneOf(STYLES)) ?? 'overlay';
  const most = value(flags, 'images', whole(1, 100)) ?? MOST;
  const layer = flags.layer === 'all' ? 'all' : value(flags, 'layer', whole(1));
  const from = pixelIn(value(flags, 'from', text('X,Y')) ?? 'cls');
  const rollout = flags.no_rollout !== true;
  const [{ loadEncoder }, { namedImages }, { makeReporter }] = await Promise.all([
    import('../weights/node.ts'),
    import('../data/named-images.ts'),
    import('./progress.ts'),
  ]);
  const { config, weights, data } = await loadEncoder(path);
  const { depth } = config;
  if (layer !== 'all' && layer !== undefined && layer > depth)
    misuse(`--layer ${layer}: the encoder has ${depth} blocks, 1 to ${depth}`);
  const layers = layer === 'all' ? Array.from({ length: depth }, (_, i) => i) : [(layer ?? depth) - 1];
  const patch = patchOf(from, config);
  const { mean, std } = data;
  const { note, fetching, finish } = makeReporter();
  const images = await namedImages(names, { channels: config.in_chans, mean, std, most, progress: fetching });
  await makeFolderOf(output, '--output');
  using engine = await openEngine(globalsOf(command));
  const [{ VisionEncoder }, { attend }, { attentionGrid }, { writePng }, { overReadable }, { pixelsOf }] =
    await Promise.all([
      import('../model/encoder.ts'),
      import('../attention.ts'),
      import('../pictures/attention-grid.ts'),
      import('../pictures/png.ts'),
      import('../data/damage.ts'),
      import('../render/rebuilt.ts'),
    ]);
  const encoder = new VisionEncoder(engine, config, withNorm(weights, config));
  const query = patch === null ? 0 : 1 + patch;
  const blocks = await overReadable(images, note, async (order) => {
    const made: AttentionBlock[] = [];
    const asked = { layers, query, rollout, ids: [...order] };
    for await (const { id, img, layers: seen } of attend(engine, encoder, images, asked)) {
      const title = `${images.title?.(id) ?? id}: ${whereText(layers, depth)}, from ${fromText(patch, config)}`;
      made.push({ title, patch, pixels: pixelsOf(img, { config, mean, std }), maps: mapsOf(seen) });
      if (order.length > 8) fetching(made.length / order.length, 'images looked at');
    }
    return made;
  });
  finish();
  const rows = blocks.map(({ title, maps }) => [title, ...spreads(maps)]);
  const head = ['image', ...blocks[0].maps.map(({ name }) => name)];
  if (head.length <= 6)
    process.stdout.write(`${columns([head, ...rows], head.map((_, c) => c).slice(1)).join('\n')}\n`);
  // After the numbers: a disk that is full costs the picture alone.
  await writePng(output, attentionGrid(blocks, { config, overlay: style === 'overlay' }));
  process.stdout.write(`the picture is ${output}\n`);
}

/** `cls`, or the pixel X,Y. */
function pixelIn(given: string): { x: number; y: number } | null {
  if (given === 'cls') return null;
  const [, x, y] = /^(\d+),(\d+)$/.exec(given) ?? misuse(`--from must be cls or a pixel, as 112,80, got ${given}`);
  return { x: Number(x), y: Number(y) };
}

function patchOf(pixel: { x: number; y: number } | null, config: EncoderConfig): number | null {
  if (!pixel) return null;
  const [height, width] = config.img_size;
  if (pixel.x >= width || pixel.y >= height)
    misuse(
      `--from ${pixel.x},${pixel.y} lies outside of the image, which the model sees as ${width} x ${height} pixels`,
    );
  return patchAt(pixel.x, pixel.y, config);
}

/** Attention comes before the final norm, which fine-tuned encoders may not have. */
function withNorm(
  weights: ReadonlyMap<string, Float32Array>,
  { embed_dim }: EncoderConfig,
): ReadonlyMap<string, Float32Array> {
  if (weights.has('norm.weight')) return weights;
  const [weight, bias] = [new Float32Array(embed_dim).fill(1), new Float32Array(embed_dim)];
  return new Map([...weights, ['norm.weight', weight], ['norm.bias', bias]]);
}

/** Of one block: mean, rollout and every head; of several: the mean of each, and the rollout to the last. */
function mapsOf(layers: readonly LayerAttention[]): NamedMap[] {
  const meanOf = ({ heads }: LayerAttention): Float64Array => headMean(joined(heads), heads.length);
  const last = layers[layers.length - 1];
  const rollout = last.rollout ? [{ name: 'rollout', row: last.rollout }] : [];
  if (layers.length > 1) return [...layers.map((l) => ({ name: `layer ${l.layer + 1}`, row: meanOf(l) })), ...rollout];
  const mean = { name: `mean of ${last.heads.length} heads`, row: meanOf(last) };
  return [mean, ...rollout, ...last.heads.map((row, h) => ({ name: `head ${h + 1}`, row }))];
}

function joined(heads: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(heads.length * heads[0].length);
  for (const [h, row] of heads.entries()) all.set(row, h * row.length);
  return all;
}

/** exp(entropy) of the part on patches: over how many of them it is spread. */
const spreads = (maps: readonly NamedMap[]): string[] =>
  maps.map(({ row }) => {
    let [sum, entropy] = [0, 0];
    for (let t = 1; t < row.length; t++) sum += row[t];
    for (let t = 1; t < row.length; t++) if (row[t] > 0) entropy -= (row[t] / sum) * Math.log(row[t] / sum);
    return `over ${Math.exp(entropy).toFixed(0)} patches`;
  });

const whereText = (layers: readonly number[], depth: number): string =>
  layers.length > 1 ? `layers 1 to ${depth}` : `layer ${layers[0] + 1} of ${depth}`;

function fromText(patch: number | null, config: EncoderConfig): string {
  if (patch === null) return 'cls';
  const across = gridOf(config)[1];
  return `the patch in row ${Math.floor(patch / across) + 1}, column ${(patch % across) + 1}`;
}
