// `tesserae bench infer`: images a second of the encoder, and how long one waits for a batch.
import type { Command } from 'commander';
import picocolors from 'picocolors';
import type { Engine } from '../../engine/engine.ts';
import type { FeatureModel } from '../model/features.ts';
import { real, text, whole } from '../train/flags.ts';
import { misuse } from '../usage.ts';
import {
  adapterLine,
  addJson,
  type BenchReport,
  type BenchRow,
  jsonOf,
  loadBench,
  print,
  showStanding,
} from './benchreport.ts';
import { columns, examples, type Flags, flagsUnder, globalsOf, openEngine, value } from './command.ts';
import { addSizes, sizesOf } from './sizes.ts';

/** ms: from handing a batch over to having its features, median. */
export interface InferRow extends BenchRow {
  readonly batch: number;
  /** With batches in a row, so that the device never waits. */
  readonly images_per_s: number;
  readonly p95_ms: number;
  readonly gflop_s: number;
}

/** What bench/infer.ts exports. */
export interface InferBench {
  benchInfer(
    engine: Engine,
    model: FeatureModel,
    options: { readonly model: string; readonly batches: readonly number[]; readonly seconds: number },
    progress: (what: string) => void,
  ): Promise<BenchReport<InferRow>>;
}

const MOST_BATCH = 256;

export function defineInfer(parent: Command): void {
  const command = parent
    .command('infer')
    .description("images/s and latency of the encoder's features at batches of 1 to 256")
    .usage('[CHECKPOINT] [flags]')
    .argument('[checkpoint]', 'whose encoder to measure, instead of one of these sizes')
    .helpOption('-h, --help', 'print this');
  addSizes(command, ['batch_size', 'mask_ratio', 'checkpoint_blocks', 'norm_pix_loss', 'dropout']);
  const option = flagsUnder(command, 'Measuring');
  option('--batches <LIST>', 'batch sizes, commas between (default: 1,2,4,...,256)');
  option('--seconds <X>', 'time for each batch size (default: 2)');
  addJson(command);
  command.addHelpText(
    'after',
    `\nThe whole image, nothing masked, from pixels on the device to features on the host. Latency: one batch at a time.\n${examples(
      ['tesserae bench infer runs/quickstart/checkpoint.safetensors', 'a model of yours'],
      ['tesserae bench infer --model mae_vit_base_patch16 --batches 1,8,64 --json infer.json', 'a preset'],
    )}`,
  );
  command.action(run);
}

function batchesOf(flags: Flags): number[] {
  const list = value(flags, 'batches', text('LIST'));
  if (list === undefined) return Array.from({ length: 1 + Math.log2(MOST_BATCH) }, (_, i) => 2 ** i);
  return list.split(',').map((batch) => value({ batches: batch }, 'batches', whole(1)) as number);
}

async function run(path: string | undefined, flags: Flags, command: Command): Promise<void> {
  const options = { batches: batchesOf(flags), seconds: value(flags, 'seconds', real({ open: true })) ?? 2 };
  const { config, precision } = sizesOf(flags);
  if (path !== undefined && flags.model !== undefined)
    misuse(`bench infer: ${path} has its own sizes: leave out --model, or the checkpoint`);
  const told = jsonOf(flags);
  const [{ benchInfer }, { modelOf, openEncoder }, { MaskedAutoencoder: Class }] = await Promise.all([
    loadBench<InferBench>('infer'),
    import('../evaluate/open.ts'),
    import('../model/model.ts'),
  ]);
  const checkpoint = path === undefined ? null : await openEncoder(path);
  using engine = await openEngine(globalsOf(command), { precision });
  const model = checkpoint ? modelOf(engine, checkpoint) : new Class(engine, config, 0);
  const name = path ?? String(flags.model ?? 'fresh weights');
  const report = await benchInfer(engine, model, { model: name, ...options }, showStanding);
  showStanding('');
  if (told(report)) return;
  const c = model.config;
  print(adapterLine(engine.device, engine.precision));
  print(
    `${name}: images of ${c.img_size.join(' x ')} x ${c.in_chans}, patches of ${c.patch_size}, encoder ${c.embed_dim} x ${c.depth}`,
  );
  const head = ['batch', 'images/s', 'latency ms', 'p95 ms', 'GFLOP/s'].map((cell) => picocolors.dim(cell));
  const rows = report.rows.map((r) => [
    String(r.batch),
    r.images_per_s.toFixed(1),
    r.ms.toFixed(2),
    r.p95_ms.toFixed(2),
    r.gflop_s.toFixed(1),
  ]);
  for (const line of columns([head, ...rows], [0, 1, 2, 3, 4])) print(line);
}
