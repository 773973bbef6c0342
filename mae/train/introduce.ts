// What a run is about to do, told before its first step is compiled: the adapter, the model, the data, and its pace.
import type { Engine } from '../../engine/engine.ts';
import type { Plan } from '../../engine/plan.ts';
import type { Trainer } from '../../engine/trainer.ts';
import type { Picks } from '../../kernels/picks.ts';
import type { Dataset } from '../data/dataset.ts';
import { type MaeConfig, PRESETS } from '../model/config.ts';
import type { MaskedAutoencoder } from '../model/model.ts';
import { millionsText, parameterCount } from '../model/parameter-count.ts';
import type { PretrainOptions } from './options.ts';
import { amountDoubts } from './doubts.ts';
import type { Reporter } from './reporter.ts';
import type { StepInputs } from './step.ts';
import type { Updates } from './updates.ts';

/** A software adapter's usual speed on two cores (bench step), for a warning alone. */
const SOFTWARE_FLOPS = 25e9;
const LONG_SECONDS = 20;

export function introduce(
  engine: Engine,
  options: PretrainOptions,
  { config, parameters }: MaskedAutoencoder,
  trainer: Trainer<StepInputs>,
  { length, classes }: Dataset,
  updates: Updates,
  { note }: Reporter,
  resumed: boolean,
): void {
  const { adapter } = engine.device;
  const { model, batch_size, accum_iter, mask_ratio, output_dir } = options;
  const [height, width] = config.img_size;
  note(adapterText(engine));
  if (adapter.software && engine.precision === 'f16')
    note('precision f16 saves memory and, on a GPU, time; on this software adapter f32 is faster');
  const masked = `${Math.round(1000 * mask_ratio) / 10} % masked`;
  note(
    `model: ${sizesText(model, config)}, ${millionsText(parameterCount(parameters.trainable))} parameters, ${height} x ${width} pixels, ${masked}`,
  );
  const images = `${length} images${classes ? ` of ${classes.length} classes` : ''}`;
  note(`data: ${images}, ${epochText(updates)}; results in ${output_dir}`);
  if (!resumed) for (const doubt of amountDoubts(options, updates)) note(doubt);
  const [plan] = trainer.plans([{ ids: [updates.parts(0)[0]], clock: [2] }]);
  const { picked } = plan;
  if (picked)
    note(
      `kernels: ${picked} of ${plan.dispatches} calls a step run with measured settings (shipped, or by tesserae tune)`,
    );
  const dropped = resumed ? notOffered(plan, engine.picks) : 0;
  if (dropped) {
    note(
      `resume: ${dropped} measured settings of the checkpoint are not offered by these kernels, which use their own: if they were when it began, results will not be bit-identical`,
    );
  }
  const seconds = (plan.flops * batch_size * accum_iter) / updates.parts(0)[0] / SOFTWARE_FLOPS;
  if (adapter.software && seconds > LONG_SECONDS) {
    note(
      `a step takes about ${seconds.toFixed(0)} s without a GPU; mae_vit_nano_patch4_32 (32 pixels) is made for that`,
    );
  }
}

const SIZES = ['patch_size', 'embed_dim', 'depth', 'num_heads'] as const;

/** The preset's name where the encoder is of its sizes: those of --init, or of flags beside the preset, may be others. */
export function sizesText(preset: string, config: MaeConfig): string {
  const named = (PRESETS as Readonly<Record<string, MaeConfig>>)[preset];
  if (named && SIZES.every((size) => named[size] === config[size])) return preset;
  const { embed_dim, depth, num_heads, patch_size } = config;
  return `${depth} blocks of width ${embed_dim} and ${num_heads} heads, patches of ${patch_size}`;
}

/** `adapter: llvmpipe, profile cpu, precision f32 (no GPU)`. */
export function adapterText({ device: { adapter, traits }, precision }: Engine): string {
  const where = adapter.description || adapter.vendor;
  return `adapter: ${where}, profile ${traits.profile}, precision ${precision}${adapter.software ? ' (no GPU)' : ''}`;
}

/** `195 steps of 256 an epoch and one of 80`. */
export function epochText(updates: Updates): string {
  const last = updates.size(updates.count - 1);
  const whole = updates.count - (last === updates.full ? 0 : 1);
  if (whole === 0) return `one step of ${last} an epoch, fewer than --batch_size x --accum_iter = ${updates.full}`;
  return `${whole} step${whole === 1 ? '' : 's'} of ${updates.full} an epoch${last === updates.full ? '' : ` and one of ${last}`}`;
}

/** Shape classes of a plan whose pick was passed over, because the kernel has no such setting there (any more). */
export function notOffered({ steps }: Pick<Plan, 'steps'>, picks: Picks): number {
  const over = steps.filter(({ program: { shapeClass, knobs } }) =>
    Object.entries(picks.get(shapeClass) ?? {}).some(([name, value]) => (knobs[name] ?? value) !== value),
  );
  return new Set(over.map(({ program }) => program.shapeClass)).size;
}
