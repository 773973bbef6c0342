// A pretraining run wherever it runs (MAE, section 3): masked images in, what is missing out. pretrain.ts makes one on Node.
import type { Engine } from '../../engine/engine.ts';
import type { Variable } from '../../engine/tensor.ts';
import type { Batch as Inputs } from '../../engine/trainer.ts';
import type { Batch } from '../data/loader.ts';
import { type Place, randomPlaces } from '../data/sampler.ts';
import { gridOf, lenKeep, type MaeConfig, patchesOf } from '../model/config.ts';
import { maskNoise, nextRatio, noiseOf, isDrawn, RATIO_RULE } from '../model/masks.ts';
import type { MaskedAutoencoder } from '../model/model.ts';
import { parameterCount } from '../model/parameter-count.ts';
import type { Checkpoint, DataInfo, TrainingState } from './checkpoint.ts';
import { modelConfig, peakRate } from './configured.ts';
import type { TrainingData } from './divided.ts';
import { Heldout } from './heldout.ts';
import type { OptimizerState } from './modelfile.ts';
import type { PretrainOptions } from './options.ts';
import type { Preparer } from './prepare.ts';
import { recipeOf } from './recipe.ts';
import type { Reporter } from './reporter.ts';
import { byMemory, cutToFit, type Limit, type Look, peakOf } from './room.ts';
import { type Judgement, TrainingRun } from './run.ts';
import type { Beginning } from './setup.ts';
import type { StepInputs } from './step.ts';
import { stepParts } from './stepparts.ts';
import type { Updates } from './updates.ts';

export interface PretrainSummary {
  readonly model: MaskedAutoencoder;
  readonly data: DataInfo;
  readonly imagesPerSecond: number;
  /** Optimizer steps of this process. */
  readonly done: number;
  readonly checkpoint: string;
}

/** Images that are rebuilt as training goes on. */
export interface Watched extends Look {
  /** Where the run stands: what is of later epochs is not of this run. */
  open(epoch: number): Promise<void>;
  /** After `epoch` of `epochs`, where every `every`th is looked at. */
  isDue(epoch: number, epochs: number, every: number): boolean;
  /** In batches of so many images at most. */
  draw(epoch: number, batchSize: number): Promise<void>;
}

/** What a run shows besides its losses. */
export interface Sights {
  readonly pictures: Watched | null;
  readonly evidence: { judge(): Promise<Judgement> } | null;
}

/** What a run is made from, wherever that comes from. */
export interface Ingredients extends TrainingData {
  /** Of the device; null where it is not known. */
  readonly limit: Limit | null;
  readonly from: Checkpoint | null;
  /** To begin with, where there is no checkpoint to go on from. */
  readonly weights: (config: MaeConfig) => Promise<ReadonlyMap<string, Float32Array>>;
  /** `keep`: the patches that stay, as it is at each call. */
  readonly sights: (model: MaskedAutoencoder, preparer: Preparer, keep: () => number) => Sights;
}

/** Puts a checkpoint where it is kept. */
type Writer = (path: string, checkpoint: Checkpoint) => Promise<void>;

/** What a run is made of, before it stands anywhere. */
export async function pretrainParts(
  engine: Engine,
  options: PretrainOptions,
  { train, heldout, limit, from, ...given }: Ingredients,
  report: Reporter,
) {
  const { seed, mask_ratio } = options;
  const { note } = report;
  const config = modelConfig({ ...options, in_chans: options.in_chans ?? train.channels });
  const { mean, std, name, classes } = train;
  const data: DataInfo = { name, mean: [...mean], std: [...std], classes: classes && [...classes] };
  const weights = from?.weights ?? (await given.weights(config));
  const ratio = { now: from?.training?.mask_ratio ?? mask_ratio };
  const made = stepParts(engine, options, config, data, { weights, ratio });
  const { model, preparer } = made;
  const shown = { ratio: mask_ratio };
  const keep = (): number => lenKeep(patchesOf(config), shown.ratio);
  const judge = heldout && new Heldout(engine, model, preparer, heldout, { keep, seed, note });
  const { pictures, evidence } = given.sights(model, preparer, keep);
  const before = from && (from.training?.micro_batch ?? options.batch_size);
  const [plans, cutting] = [
    { ...made.plans, looks: [pictures, judge].filter((look) => look !== null) },
    { ...options, images: train.length },
  ];
  const updates = cutToFit(plans, cutting, limit, before, note);
  return {
    config,
    data,
    train,
    judge,
    ratio,
    shown,
    evidence,
    pictures,
    updates,
    peak: peakOf(plans, cutting),
    ...made,
  };
}

export class PretrainRun extends TrainingRun<StepInputs, Checkpoint> {
  readonly #options: PretrainOptions;
  readonly #config: MaeConfig;
  readonly #model: MaskedAutoencoder;
  readonly #preparer: Preparer;
  readonly #judge: Heldout | null;
  readonly #evidence: Sights['evidence'];
  readonly #pictures: Watched | null;
  readonly #data: DataInfo;
  readonly #recipe: Record<string, unknown>;
  /** Of training, which may follow the loss, and of what is shown. */
  readonly #ratio: { now: number };
  readonly #shown: { ratio: number };
  readonly #noise: (batch: number) => Variable;
  /** Patches that stay in every image, where they are given. */
  readonly #given: readonly number[] | null;
  readonly #updates: Updates;
  readonly #write: Writer;

  constructor(
    engine: Engine,
    options: PretrainOptions,
    made: Awaited<ReturnType<typeof pretrainParts>>,
    write: Writer,
    begun: Beginning<Checkpoint>,
  ) {
    const { config, data, train, model, preparer, trainer, updates, peak, judge } = made;
    const [height, width] = config.img_size;
    const output = { chans: config.in_chans, height, width };
    const recipe = recipeOf(options, engine);
    const lr = peakRate(options);
    const plan = { trainer, updates, peak, smaller: byMemory };
    super({ engine, options, command: 'pretrain', train, output, ...plan, lr, recipe, ...begun });
    this.#options = options;
    this.#config = config;
    this.#model = model;
    this.#preparer = preparer;
    this.#judge = judge;
    this.#evidence = made.evidence;
    this.#pictures = made.pictures;
    this.#data = data;
    this.#recipe = recipe;
    this.#ratio = made.ratio;
    this.#shown = made.shown;
    this.#noise = made.noise;
    this.#given = made.given;
    this.#updates = updates;
    this.#write = write;
  }

  /** Optimizer steps of an epoch. */
  get steps(): number {
    return this.stepsPerEpoch;
  }

  get parameters(): number {
    return parameterCount(this.#model.parameters.trainable);
  }

  async train(): Promise<PretrainSummary> {
    return { model: this.#model, data: this.#data, ...(await this.all()) };
  }

  override async openFolder(): Promise<void> {
    await super.openFolder();
    await this.#pictures?.open(this.at.epoch);
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

  /**
   * Goes on with another peak learning rate, or another part of the patches removed, from the next step on; checkpoints say so. To be called
   * between two updates.
   */
  change({ lr, mask_ratio }: { readonly lr?: number; readonly mask_ratio?: number }): void {
    if (mask_ratio !== undefined) {
      lenKeep(patchesOf(this.#config), mask_ratio);
      this.#ratio.now = this.#shown.ratio = mask_ratio;
    }
    if (lr !== undefined) this.at.lr = lr;
    Object.assign(this.#recipe, lr === undefined ? {} : { lr }, mask_ratio === undefined ? {} : { mask_ratio });
  }

  /** Shows the fixed images as they are rebuilt now, out of turn. To be called between two updates. */
  async draw(): Promise<void> {
    await this.#pictures?.draw(this.at.epoch, this.#updates.micro_batch);
  }

  /** The loss on the held-out images, out of turn; null where there are none. To be called between two updates. */
  async heldoutLoss(): Promise<number | null> {
    return (await this.#judge?.loss(this.#updates.micro_batch)) ?? null;
  }

  protected async evaluate(): Promise<Judgement> {
    const { epochs, evidence_freq, eval_freq } = this.#options;
    // Their names are of epochs.
    if (!this.at.isWithinEpoch && this.#pictures?.isDue(this.at.epoch, epochs, eval_freq))
      await this.#pictures.draw(this.at.epoch, this.#updates.micro_batch);
    if (!this.#judge) return {};
    const heldout_loss = await this.#judge.loss(this.#updates.micro_batch);
    const note = this.report.judged ?? this.report.note;
    note(`held-out masked loss after ${this.at.moment}: ${heldout_loss.toFixed(4)}`);
    const due = this.at.isWithinEpoch || this.at.epoch === epochs || this.at.epoch % evidence_freq === 0;
    const found = due ? await this.#evidence?.judge() : {};
    const said = Object.entries(found ?? {}).map(([name, x]) => `${name} ${x.toFixed(2)}`);
    if (said.length) note(`features after ${this.at.moment}: ${said.join(', ')}`);
    return { heldout_loss, ...found };
  }

  protected watched = ({ heldout_loss = Number.NaN }: Judgement): number => heldout_loss;

  protected merit = (judged: Judgement): number | null => {
    const value = judged[this.#options.best ?? ''];
    return value === undefined ? null : this.#options.best === 'heldout_loss' ? -value : value;
  };

  protected async gather(optimizer: OptimizerState, state: TrainingState): Promise<Checkpoint> {
    const weights = await this.#model.parameters.read();
    const maskRatio = this.#shown.ratio;
    const training = this.#options.mask_threshold === undefined ? state : { ...state, mask_ratio: this.#ratio.now };
    return { config: this.#config, weights, data: this.#data, maskRatio, optimizer, training };
  }

  protected async write(path: string, checkpoint: Checkpoint): Promise<void> {
    await this.#write(path, checkpoint);
  }
}
