// Pretraining: masked images in, what is missing out (MAE, section 3).
import type { Engine } from '../../engine/engine.ts';
import { deviceMemory } from '../../engine/node/devicememory.ts';
import type { Variable } from '../../engine/tensor.ts';
import type { Batch as Inputs } from '../../engine/trainer.ts';
import type { Batch } from '../data/loader.ts';
import { type Place, randomPlaces } from '../data/sampler.ts';
import { Evidence } from '../evaluate/evidence.ts';
import { gridOf, lenKeep, type MaeConfig, patchesOf } from '../model/config.ts';
import { maskNoise, nextRatio, noiseOf, isDrawn, RATIO_RULE } from '../model/masks.ts';
import type { MaskedAutoencoder } from '../model/model.ts';
import { cutToFit, type Limit, peakOf } from './room.ts';
import { stepParts } from './stepparts.ts';
import type { Updates } from './updates.ts';
import { type Checkpoint, type DataInfo, saveCheckpoint, type TrainingState } from './checkpoint.ts';
import { type TrainingData, trainingData } from './data.ts';
import { Heldout } from './heldout.ts';
import { introduce } from './introduce.ts';
import { beginningWeights } from './begin.ts';
import type { OptimizerState } from './modelfile.ts';
import { modelConfig, peakRate, type PretrainOptions } from './options.ts';
import type { Preparer } from './prepare.ts';
import { isDue, ProgressPictures } from './progress-pictures.ts';
import type { Reporter } from './reporter.ts';
import { unbroken } from './recovery.ts';
import { findResume, recipeOf } from './resume.ts';
import { type Judgement, TrainingRun } from './run.ts';
import type { Beginning, Kept } from './setup.ts';
import type { StepInputs } from './step.ts';

export interface PretrainSummary {
  readonly model: MaskedAutoencoder;
  readonly data: DataInfo;
  readonly imagesPerSecond: number;
  /** Optimizer steps of this process. */
  readonly done: number;
  readonly checkpoint: string;
}

/** `stop`: asks the run to save and to end; `--resume auto` then goes on. */
export async function pretrain(
  engine: Engine,
  options: PretrainOptions,
  report: Reporter,
  stop?: AbortSignal,
): Promise<PretrainSummary> {
  const begun = await findResume(engine, options, report);
  const { memory: bytes } = options;
  const limit = bytes === undefined ? await deviceMemory(engine.device.adapter) : { bytes, of: '--memory' };
  const opened = { ...(await trainingData(options, report)), limit };
  const make = async (from: Checkpoint | null, kept: Kept<Checkpoint> | null): Promise<Run> =>
    new Run(engine, options, await parts(engine, options, opened, from, report), { report, from, kept, stop });
  return unbroken({ engine, report, command: 'pretrain', from: begun, make, stop });
}

/** What a run is made of, before it stands anywhere. */
async function parts(
  engine: Engine,
  options: PretrainOptions,
  { train, heldout, limit }: TrainingData & { limit: Limit | null },
  from: Checkpoint | null,
  report: Reporter,
) {
  const { seed, mask_ratio } = options;
  const { note } = report;
  const config = modelConfig({ ...options, in_chans: options.in_chans ?? train.channels });
  const { mean, std, name, classes } = train;
  const data: DataInfo = { name, mean: [...mean], std: [...std], classes: classes && [...classes] };
  const weights = from?.weights ?? (await beginningWeights(config, options, report));
  const ratio = { now: from?.training?.mask_ratio ?? mask_ratio };
  const made = stepParts(engine, options, config, data, { weights, ratio });
  const { model, preparer } = made;
  const keep = lenKeep(patchesOf(config), mask_ratio);
  const judge = heldout && new Heldout(engine, model, preparer, heldout, { keep, seed, note });
  const { evidence_freq, evidence_images: images, output_dir: folder, pictures: count } = options;
  const pictures =
    count > 0
      ? new ProgressPictures(engine, model, preparer, heldout ?? train, { folder, count, keep, seed, note })
      : null;
  const evidence =
    heldout && evidence_freq > 0 ? new Evidence(engine, model, { train, val: heldout, images, note }) : null;
  const before = from && (from.training?.micro_batch ?? options.batch_size);
  const [plans, cutting] = [
    { ...made.plans, looks: [pictures, judge].filter((look) => look !== null) },
    { ...options, images: train.length },
  ];
  const updates = cutToFit(plans, cutting, limit, before, note);
  return { config, data, train, judge, ratio, evidence, pictures, updates, peak: peakOf(plans, cutting), ...made };
}

class Run extends TrainingRun<StepInputs, Checkpoint> {
  readonly #options: PretrainOptions;
  readonly #config: MaeConfig;
  readonly #model: MaskedAutoencoder;
  readonly #preparer: Preparer;
  readonly #judge: Heldout | null;
  readonly #evidence: Evidence | null;
  readonly #pictures: ProgressPictures | null;
  readonly #data: DataInfo;
  readonly #ratio: { now: number };
  readonly #noise: (batch: number) => Variable;
  /** Patches that stay in every image, where they are given. */
  readonly #given: readonly number[] | null;
  readonly #updates: Updates;

  constructor(
    engine: Engine,
    options: PretrainOptions,
    made: Awaited<ReturnType<typeof parts>>,
    begun: Beginning<Checkpoint>,
  ) {
    const { config, data, train, model, preparer, trainer, updates, peak, judge } = made;
    const [height, width] = config.img_size;
    const output = { chans: config.in_chans, height, width };
    const recipe = recipeOf(options, engine);
    const lr = peakRate(options);
    const plan = { trainer, updates, peak, cuts: true };
    super({ engine, options, command: 'pretrain', train, output, ...plan, lr, recipe, ...begun });
    this.#options = options;
    this.#config = config;
    this.#model = model;
    this.#preparer = preparer;
    this.#judge = judge;
    this.#evidence = made.evidence;
    this.#pictures = made.pictures;
    this.#data = data;
    this.#ratio = made.ratio;
    this.#noise = made.noise;
    this.#given = made.given;
    this.#updates = updates;
    if (!begun.kept) introduce(engine, options, model, trainer, train, updates, begun.report, begun.from !== null);
  }

  async train(): Promise<PretrainSummary> {
    return { model: this.#model, data: this.#data, ...(await this.all()) };
  }

  override async openFolder(): Promise<void> {
    await super.openFolder();
    await this.#pictures?.open(this.epoch);
  }

  protected place = (epoch: number): Place => randomPlaces(this.#options.seed, epoch);

  protected async inputs(batch: Batch, epoch: number, step: number): Promise<Inputs<StepInputs>> {
    await this.#preparer.run(batch);
    this.#drawMasks(batch.ids, epoch);
    const clock = { data: Uint32Array.of(epoch, step), shape: [2] };
    return { ids: { data: batch.ids, shape: [batch.ids.length] }, clock };
  }

  /** Those that the device does not draw. */
  #drawMasks(ids: Uint32Array, epoch: number): void {
    const { mask, seed } = this.#options;
    const given = this.#given;
    if (!given && !isDrawn(mask)) return;
    const grid = gridOf(this.#config);
    const patches = patchesOf(this.#config);
    const noise = new Float32Array(ids.length * patches);
    const keep = lenKeep(patches, this.#ratio.now);
    for (const [i, sample] of ids.entries()) {
      const own = isDrawn(mask) ? maskNoise(mask, grid, keep, { seed, epoch, sample }) : noiseOf(given ?? [], patches);
      noise.set(own, i * patches);
    }
    this.engine.write(this.#noise(ids.length), noise);
  }

  /** The ratio of the next epoch, where it follows the loss. */
  protected override endEpoch(loss: number): Judgement {
    const { mask_threshold: threshold } = this.#options;
    if (threshold === undefined) return {};
    const mask_ratio = this.#ratio.now;
    this.#ratio.now = nextRatio(mask_ratio, loss, { ...RATIO_RULE, threshold });
    return { mask_ratio };
  }

  protected isEvaluated = (epoch: number): boolean => (epoch + 1) % this.#options.eval_freq === 0;

  protected async evaluate(): Promise<Judgement> {
    const { epochs, evidence_freq, eval_freq } = this.#options;
    if (isDue(this.epoch, epochs, eval_freq)) await this.#pictures?.draw(this.epoch, this.#updates.micro_batch);
    if (!this.#judge) return {};
    const heldout_loss = await this.#judge.loss(this.#updates.micro_batch);
    this.report.note(`held-out masked loss after epoch ${this.epoch}: ${heldout_loss.toFixed(4)}`);
    const due = this.#evidence && (this.epoch === epochs || this.epoch % evidence_freq === 0);
    const found = due ? await this.#evidence?.judge() : {};
    const said = Object.entries(found ?? {}).map(([name, x]) => `${name} ${x.toFixed(2)}`);
    if (said.length) this.report.note(`features after epoch ${this.epoch}: ${said.join(', ')}`);
    return { heldout_loss, ...found };
  }

  protected watched = ({ heldout_loss = Number.NaN }: Judgement): number => heldout_loss;

  protected merit = (judged: Judgement): number | null => {
    const value = judged[this.#options.best ?? ''];
    return value === undefined ? null : this.#options.best === 'heldout_loss' ? -value : value;
  };

  protected async gather(optimizer: OptimizerState, state: TrainingState): Promise<Checkpoint> {
    const weights = await this.#model.parameters.read();
    const { mask_ratio: maskRatio, mask_threshold } = this.#options;
    const training = mask_threshold === undefined ? state : { ...state, mask_ratio: this.#ratio.now };
    return { config: this.#config, weights, data: this.#data, maskRatio, optimizer, training };
  }

  protected write = saveCheckpoint;
}
