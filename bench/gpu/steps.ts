// The training step of MAE at the sizes that are compared: time, host time, bytes; and where its time goes.
import { Engine } from '../../engine/engine.ts';
import { UNCHECKED } from '../../engine/node/dawn.ts';
import type { Plan } from '../../engine/plan.ts';
import { numel, type Variable } from '../../engine/tensor.ts';
import { random } from '../../kernels/random/random.ts';
import { configure, type MaeConfig, parameterSpecs } from '../../mae/model/config.ts';
import { MaskedAutoencoder } from '../../mae/model/model.ts';
import { pretrainStep } from '../../mae/train/step.ts';
import type { Trial } from '../../mae/train/trial.ts';
import { timePlan } from '../kernels.ts';
import { timeStep } from '../timestep.ts';
import { nvidia } from './conditions.ts';
import { modeText, type Options, type Row } from './report.ts';
import { openFor, QUICK, type Work } from './work.ts';

export interface StepShape {
  readonly model: string;
  readonly config: MaeConfig;
  readonly batch: number;
}

export const MASK_RATIO = 0.75;
/** The batch of ViT-B that is held against PyTorch's compiler, without Dawn's checks too, and profiled. */
export const COMPARED = 256;
const WARMUP = 2;
/** Measured steps: as many as fit into so long, within these bounds. On a GPU they hardly differ. */
const [FEWEST, MOST, SOFTWARE_MS, GPU_MS] = [3, 10, 4000, 1000];
/** What a first step is forecast by, in GFLOP a millisecond: too slow for most, so that it is not begun in vain. */
const [SOFTWARE_RATE, GPU_RATE] = [0.03, 5];
/** Of a part's time, how much one model may take: what is left over goes to the parts that follow. */
const MOST_OF_PART = 1 / 3;
/** What comes before the first step: programs are built, weights and images uploaded. */
const BEFORE_MS = 800;
/** Of a profile, whose rows are only to be added up: there are more than 80. */
const BRIEF = { samples: 3, submitMs: 5 };
/** Of a card's memory, how much a step may take. */
const FILLED = 0.95;

/** The most telling first. */
function stepShapes(quick: boolean): StepShape[] {
  const of = (model: string, preset: string, batch: number): StepShape => ({ model, config: configure(preset), batch });
  if (quick) return [of('ViT-nano/4, 32 px', 'mae_vit_nano_patch4_32', 4)];
  return [
    of('ViT-B/16, 224 px', 'mae_vit_base_patch16', 64),
    of('ViT-B/16, 224 px', 'mae_vit_base_patch16', 256),
    of('ViT-B/16, 224 px', 'mae_vit_base_patch16', 1024),
    of('ViT-Ti/2, 32 px', 'mae_vit_tiny_patch2_32', 64),
    of('ViT-L/16, 224 px', 'mae_vit_large_patch16', 64),
    of('ViT-H/14, 224 px', 'mae_vit_huge_patch14', 64),
    of('ViT-nano/4, 32 px', 'mae_vit_nano_patch4_32', 64),
  ];
}

/** A step whose weights and images are quickly made: drawing those of ViT-H one by one takes most of a minute. */
class Prepared {
  readonly plan: Plan;
  readonly #engine: Engine;
  readonly #shape: StepShape;
  readonly #model: MaskedAutoencoder;
  readonly #images: Variable;
  readonly #trainer: ReturnType<typeof pretrainStep>;

  /** Plans; nothing large is allocated yet. */
  constructor(engine: Engine, shape: StepShape) {
    const { config, batch } = shape;
    this.#engine = engine;
    this.#shape = shape;
    this.#images = engine.variable('images', [batch, config.in_chans, ...config.img_size]);
    this.#model = new MaskedAutoencoder(engine, config);
    const options = { mask_ratio: MASK_RATIO, seed: 0, weight_decay: 0.05 };
    this.#trainer = pretrainStep(engine, this.#model, () => this.#images, options);
    this.plan = this.#trainer.plan({ ids: [batch], clock: [2] });
  }

  /** Uploads numbers that train as fresh ones do. */
  trial(): Trial {
    const { config, batch } = this.#shape;
    const rng = random(3);
    const tile = Float32Array.from({ length: 1 << 16 }, () => 2 * rng.uniform() - 1);
    const tiled = (n: number, scale: number): Float32Array => {
      const data = new Float32Array(n);
      const scaled = tile.map((x) => x * scale);
      for (let at = 0; at < n; at += tile.length) data.set(scaled.subarray(0, Math.min(tile.length, n - at)), at);
      return data;
    };
    const weight = (name: string, shape: readonly number[]): Float32Array => {
      const n = numel(shape);
      if (shape.length === 1) return new Float32Array(n).fill(name.endsWith('.bias') ? 0 : 1);
      return tiled(n, Math.sqrt(6 / (shape[0] + n / shape[0])));
    };
    this.#model.parameters.load(new Map(parameterSpecs(config).map(({ name, shape }) => [name, weight(name, shape)])));
    this.#engine.write(this.#images, tiled(numel(this.#images.shape), 1));
    const ids = { data: Uint32Array.from({ length: batch }, (_, i) => i), shape: [batch] };
    let step = 0;
    const submit = async () => {
      const clock = { data: Uint32Array.of(0, step++), shape: [2] };
      const [result] = await this.#trainer.step({ ids, clock }, { lr: 1e-4 });
      return async () => (await result.read()).loss[0];
    };
    return { plan: this.plan, submit };
  }
}

/** The shapes that were asked for. */
export const chosen = ({ quick, models, batches }: Options): StepShape[] =>
  stepShapes(quick).filter(
    ({ model, batch }) =>
      quick ||
      ((!models.length || models.includes(model.split('/')[0])) && (!batches.length || batches.includes(batch))),
  );

/** A row for every shape that fits the memory and the time; ViT-B once more without Dawn's checks. */
export async function measureSteps(work: Work): Promise<void> {
  const { options, mode, left, note, emit } = work;
  const list = chosen(options).flatMap((shape) => {
    const both = !options.quick && shape.batch === COMPARED && mode.precision === 'f16';
    return [{ shape, unchecked: false }, ...(both ? [{ shape, unchecked: true }] : [])];
  });
  // In f32 the largest batch takes longer than all else.
  if (mode.precision === 'f32')
    list.sort((a, b) => Number(a.shape.batch > COMPARED) - Number(b.shape.batch > COMPARED));
  const most = MOST_OF_PART * left();
  let rate: number | null = null;
  for (const { shape, unchecked } of list) {
    const text = unchecked ? `${modeText(mode)} unchecked` : modeText(mode);
    const row = { model: shape.model, batch: shape.batch, mode: text };
    note(`${shape.model} batch ${shape.batch}${unchecked ? ' unchecked' : ''}`);
    try {
      rate = await measureStep(work, shape, unchecked ? UNCHECKED : [], { rate, most }, row);
    } catch (error) {
      emit({ ...row, error: (error as Error).message.split('\n')[0].slice(0, 300) });
    }
    if (left() <= 0) note('out of time');
  }
}

/** `rate` and what it gives: GFLOP a millisecond at best, to forecast the next one, which may take `most` milliseconds. */
async function measureStep(
  work: Work,
  shape: StepShape,
  toggles: readonly string[],
  { rate, most }: { rate: number | null; most: number },
  row: Row,
): Promise<number | null> {
  using device = await openFor(work, toggles);
  using engine = new Engine(device, { precision: work.mode.precision });
  const prepared = new Prepared(engine, shape);
  const gflop = prepared.plan.flops / 1e9;
  const cost = { gflop, peak_bytes: prepared.plan.peakBytes };
  const card = Number.parseInt(nvidia()?.['memory.total'] ?? '', 10) * 2 ** 20;
  if (cost.peak_bytes > FILLED * card) {
    work.emit({ ...row, ...cost, error: `not measured: the card has ${card} bytes` });
    return rate;
  }
  const forecast = gflop / (rate ?? (device.adapter.software ? SOFTWARE_RATE : GPU_RATE));
  const wanted = (device.adapter.software ? SOFTWARE_MS : GPU_MS) / forecast;
  const steps = work.options.quick ? FEWEST : Math.max(FEWEST, Math.min(MOST, Math.floor(wanted)));
  const takes = (WARMUP + steps) * forecast;
  if (work.left() <= takes + (work.options.quick ? 0 : BEFORE_MS) || (takes > most && !work.options.quick)) {
    work.emit({ ...row, ...cost, error: 'not measured: out of time' });
    return rate;
  }
  const figures = await timeStep(prepared.trial(), { batchSize: shape.batch, steps, warmup: WARMUP });
  work.emit({ ...row, ...figures });
  return Math.max(rate ?? 0, figures.gflop / figures.ms);
}

/** Every distinct call of a ViT-B step, timed by itself: at the batch that is compared, or at those that were asked for. */
export async function profileStep(work: Work): Promise<void> {
  const { options, mode, left, note, emit } = work;
  const batches = options.batches.length ? options.batches : [COMPARED];
  const base = stepShapes(options.quick).filter(
    (shape, _, all) => shape.model === all[0].model && (batches.includes(shape.batch) || options.quick),
  );
  for (const shape of base) {
    using device = await openFor(work);
    using engine = new Engine(device, { precision: mode.precision });
    const { plan } = new Prepared(engine, shape);
    const sampling = options.quick ? QUICK : device.adapter.software ? { samples: 3 } : BRIEF;
    const of = { model: shape.model, batch: shape.batch, mode: modeText(mode) };
    await timePlan(
      device,
      plan,
      sampling,
      (_, what) => {
        note(what);
        return left() > 0;
      },
      ({ kernel, problem, count, ms, flops, bytes }) => emit({ ...of, kernel, problem, count, ms, flops, bytes }),
    );
  }
}
