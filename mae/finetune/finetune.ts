// Fine-tuning (MAE, appendix A.1; facebookresearch/mae's main_finetune.py): the encoder and a head on labelled images.
import type { Engine } from '../../engine/engine.ts';
import { fail } from '../../engine/errors.ts';
import { MemoryForecast } from '../../engine/forecast.ts';
import { classTargets, crossEntropy } from '../../engine/ops/cross-entropy.ts';
import { Ema } from '../../engine/optim/ema.ts';
import { LossScale } from '../../engine/optim/lossscale.ts';
import type { HostTensor } from '../../engine/tensor.ts';
import { type Batch as Inputs, Trainer } from '../../engine/trainer.ts';
import { type Augmentation, augmentedPlaces, drawMixing, erasedBoxes } from '../data/augmentation.ts';
import { withChannels } from '../data/channels.ts';
import { evenly } from '../data/dataset.ts';
import type { Batch } from '../data/loader.ts';
import {
  drawRandAugment,
  JITTER_SLOTS,
  jitterSlots,
  parseRandAugment,
  planOf,
  SLOT_WORDS,
} from '../data/randaugment.ts';
import type { Place } from '../data/sampler.ts';
import { labelledData, type Labels } from '../evaluate/open.ts';
import { Classifier, type ClassifierConfig, classifierWeights, lastBlocks } from '../model/classifier.ts';
import { adaptedText, adaptedTo } from '../model/adapt.ts';
import { configure, type EncoderConfig } from '../model/config.ts';
import { parameterCount } from '../model/parameter-count.ts';
import type { TrainingState } from '../train/checkpoint.ts';
import type { OptimizerState } from '../train/modelfile.ts';
import { layerGroups, makeOptimizer } from '../train/optimizer.ts';
import { Journal } from '../train/journal.ts';
import { Preparer } from '../train/prepare.ts';
import type { Reporter } from '../train/reporter.ts';
import { unbroken } from '../train/recovery.ts';
import { byBatchSize } from '../train/room.ts';
import { recipeOf } from '../train/recipe.ts';
import { findResume } from '../train/resume.ts';
import { type Judgement, TrainingRun } from '../train/run.ts';
import type { Beginning, Kept } from '../train/setup.ts';
import { Updates } from '../train/updates.ts';
import { loadEncoder } from '../weights/node.ts';
import { type ClassifierCheckpoint, loadClassifier, saveClassifier } from './checkpoint.ts';
import { Judge } from './evaluate.ts';
import { introduce } from './introduce.ts';
import { augmentationOf, FINETUNE_OPTIONS, type FinetuneOptions, finetuneRate } from './options.ts';

const INPUTS = { ids: 'u32', clock: 'u32', labels: 'i32', partner: 'i32', lambda: 'f32' } as const;
type StepInputs = typeof INPUTS;

interface FinetuneSummary {
  readonly imagesPerSecond: number;
  readonly done: number;
  readonly checkpoint: string;
  /** Of the last evaluation on the validation images. */
  readonly judged: Judgement;
  /** The best top-1 on validation images, of which checkpoint-best has the weights; null before any. */
  readonly best: number | null;
}

/** `stop`: asks the run to save and to end; `--resume auto` then goes on. */
export async function finetune(
  engine: Engine,
  options: FinetuneOptions,
  report: Reporter,
  stop?: AbortSignal,
): Promise<FinetuneSummary> {
  type C = ClassifierCheckpoint;
  const begun = await findResume<C>(engine, options, report, FINETUNING);
  const always = { journal: new Journal(options, 'finetune', report.note), report, stop };
  const make = async (from: C | null, kept: Kept<C> | null): Promise<Run> =>
    new Run(engine, options, await parts(engine, options, report, from), { ...always, from, kept });
  return unbroken({ engine, report, command: 'finetune', from: begun, make, stop });
}

/** Weights and sizes to begin with, and what the encoder's images were normalised with. A run that goes on has them already. */
async function beginning(
  options: FinetuneOptions,
  train: Labels['train'],
  classes: number,
  { note, fetching: progress }: Reporter,
) {
  const { seed } = options;
  if (!options.finetune) {
    const encoder: EncoderConfig = configure(options.model as string, { img_size: options.input_size });
    const config = classifierConfig(encoder, options, classes);
    return {
      config,
      weights: classifierWeights(config, null, { seed }),
      averages: null,
      data: withChannels(train, config.in_chans),
    };
  }
  const from = await loadEncoder(options.finetune, { progress });
  const config = classifierConfig(from.config, options, classes);
  const weights = classifierWeights(config, from, { seed });
  note(`init: ${options.finetune}: ${adaptedText(adaptedTo(weights, from))}`);
  return { config, weights, averages: null, data: from.data };
}

function classifierConfig(encoder: EncoderConfig, options: FinetuneOptions, classes: number): ClassifierConfig {
  const { patch_size, in_chans, embed_dim, depth, num_heads, mlp_ratio, ln_eps, pos_embed } = encoder;
  const sizes = { patch_size, in_chans, embed_dim, depth, num_heads, mlp_ratio, ln_eps, pos_embed };
  const { input_size, dropout, drop_path, cls_token } = options;
  const img_size = input_size ?? encoder.img_size;
  return { ...sizes, img_size, dropout, drop_path, nb_classes: classes, pool: cls_token ? 'cls' : 'gap' };
}

/** What a run is made of, before it stands anywhere. */
async function parts(engine: Engine, options: FinetuneOptions, report: Reporter, from: ClassifierCheckpoint | null) {
  const { seed, unfreeze_blocks, weight_decay, layer_decay, clip_grad, checkpoint_blocks, batch_size } = options;
  const labelled = await labelledData(options.data_path, (f, what) => report.fetching(f, what), { asked: options });
  const { train: all, classes } = labelled;
  for (const remark of all.remarks ?? []) report.note(remark);
  if ((options.train_images ?? 0) > all.length)
    fail(`finetune: --train_images ${options.train_images} is more than the ${all.length} that there are`);
  const some = options.train_images === undefined ? all : evenly(all, options.train_images);
  const begun = from ?? (await beginning(options, some, classes.length, report));
  const { config, weights } = begun;
  const [train, val] = [some, labelled.val].map((set) => withChannels(set, config.in_chans));
  if ((unfreeze_blocks ?? 0) > config.depth)
    fail(`finetune: --unfreeze_blocks ${unfreeze_blocks} is more than the ${config.depth} blocks that there are`);
  if (from && String(from.data.classes) !== String(classes))
    fail(`resume: ${options.data_path} has other classes than the run began with; put them back, or start a new run`);
  const { mean, std } = begun.data;
  const data = { name: train.name, mean: [...mean], std: [...std], classes: [...classes] };
  const trainable = unfreeze_blocks === undefined ? undefined : lastBlocks(config, unfreeze_blocks);
  const classifier = new Classifier(engine, config, weights, trainable);
  const averaged = options.ema ? new Classifier(engine, config, begun.averages ?? weights, trainable) : null;
  const ema = averaged && new Ema(classifier.parameters, averaged.parameters, options.ema as number);
  const augmentation = augmentationOf(options);
  const mixing = augmentation.mixup + augmentation.cutmix > 0;
  const policy = augmentation.aa ? parseRandAugment(augmentation.aa) : null;
  if ((policy || augmentation.color_jitter) && config.in_chans !== 3)
    fail(`finetune: --aa is for images of 3 channels, these have ${config.in_chans}: give --aa ''`);
  const preparer = new Preparer(engine, config, { mean, std });
  const optimizer = makeOptimizer(classifier.parameters, options, {
    betas: [0.9, 0.999],
    group: layerGroups(config.depth, layer_decay, weight_decay),
    clipNorm: clip_grad,
    lossScale: engine.precision === 'f16' ? new LossScale(engine) : undefined,
    skipNonFinite: true,
  });
  const trainer = new Trainer(engine, {
    inputs: INPUTS,
    optimizer,
    loss: ({ ids, clock, labels, partner, lambda }, t) => {
      const img = t.use(preparer.images(ids.shape[0]));
      const how = { dropout: { ids, clock, seed }, checkpointBlocks: checkpoint_blocks };
      const { logits } = classifier.forward(img, how);
      const mixed = mixing ? { partner, lambda } : {};
      const targets = classTargets(
        { labels, ...mixed },
        { classes: classes.length, smoothing: augmentation.smoothing },
      );
      return crossEntropy({ logits, targets }, {}).loss;
    },
    after: (t) => ema?.update(t),
  });
  const judging = { mean, std, batchSize: Math.max(64, batch_size), note: report.note };
  const judge = new Judge(engine, classifier, judging);
  const averagedJudge = averaged && new Judge(engine, averaged, judging);
  const sets = { train, val, updates: new Updates({ ...options, images: train.length, even: mixing }) };
  const peak = (images: number): number => {
    const shape = [images];
    return new MemoryForecast(trainer.plans([{ ids: shape, clock: [2], labels: shape, partner: shape, lambda: [1] }]))
      .total;
  };
  const views = { augmentation, policy, peak };
  return { ...sets, ...views, config, data, classifier, averaged, preparer, trainer, judge, averagedJudge };
}

class Run extends TrainingRun<StepInputs, ClassifierCheckpoint> {
  readonly #options: FinetuneOptions;
  readonly #parts: Awaited<ReturnType<typeof parts>>;
  readonly #size: readonly [number, number];
  readonly #augmentation: Augmentation;
  #judged: Judgement = {};

  constructor(
    engine: Engine,
    options: FinetuneOptions,
    made: Awaited<ReturnType<typeof parts>>,
    begun: Beginning<ClassifierCheckpoint>,
  ) {
    const { train, config, trainer, updates, peak } = made;
    const [height, width] = config.img_size;
    const output = { chans: config.in_chans, height, width };
    const recipe = recipeOf(options, engine);
    const lr = finetuneRate(options);
    const plan = { trainer, updates, peak, smaller: byBatchSize };
    super({ engine, options, command: 'finetune', train, output, ...plan, lr, recipe, ...begun });
    this.#options = options;
    this.#parts = made;
    this.#size = [height, width];
    this.#augmentation = made.augmentation;
    if (!begun.kept) introduce(engine, options, made, this.report);
  }

  async train(): Promise<FinetuneSummary> {
    return { ...(await this.all()), judged: this.#judged, best: this.at.best };
  }

  protected place = (epoch: number): Place => {
    const [height, width] = this.#size;
    return augmentedPlaces(this.#augmentation, { height, width }, this.#options.seed, epoch);
  };

  protected async inputs(batch: Batch, epoch: number, step: number): Promise<Inputs<StepInputs>> {
    const { ids, labels } = batch;
    const { seed } = this.#options;
    const { preparer } = this.#parts;
    await preparer.run(batch, this.#operations(ids, epoch));
    const clock = Uint32Array.of(epoch, step);
    const { reprob, mixup, cutmix } = this.#augmentation;
    const boxes = reprob > 0 ? erasedBoxes(this.#augmentation, ids, this.#size, seed, epoch) : null;
    const mixing =
      mixup + cutmix > 0 ? drawMixing(this.#augmentation, this.#size, { seed, epoch, sample: ids[0] }) : null;
    await preparer.alter({ ids, clock, seed }, boxes, mixing?.how ?? null);
    const shape = [ids.length];
    return {
      ids: { data: ids, shape },
      clock: { data: clock, shape: [2] },
      labels: { data: labels, shape },
      partner: { data: labels.slice().reverse(), shape },
      lambda: { data: Float32Array.of(mixing?.lambda ?? 1), shape: [1] },
    };
  }

  /** As in the reference's log: of what is trained. */
  protected override endEpoch(): Judgement {
    return { n_parameters: this.#trained() };
  }

  #trained(): number {
    return parameterCount(this.#parts.classifier.parameters.trainable);
  }

  /** What is done to the bytes of a batch (batch, operations, 8): RandAugment, or colour jitter; null without either. */
  #operations(ids: Uint32Array, epoch: number): HostTensor | null {
    const { policy } = this.#parts;
    const { seed } = this.#options;
    if (policy) {
      const draws = Array.from(ids, (sample) => drawRandAugment({ seed, epoch, sample }, policy));
      return { data: planOf(draws, this.#size), shape: [ids.length, policy.count, SLOT_WORDS] };
    }
    const { color_jitter } = this.#augmentation;
    if (color_jitter === 0) return null;
    const slots = Array.from(ids, (sample) => jitterSlots({ seed, epoch, sample }, color_jitter));
    return { data: Float32Array.from(slots.flat()), shape: [ids.length, JITTER_SLOTS, SLOT_WORDS] };
  }

  protected isEvaluated = (epoch: number): boolean => (epoch + 1) % this.#options.eval_freq === 0;

  protected async evaluate(): Promise<Judgement> {
    const { judge, averagedJudge, val } = this.#parts;
    const own = await judge.metrics(val);
    const averaged = await averagedJudge?.metrics(val);
    this.#judged = {
      test_loss: own.loss,
      test_acc1: own.top1,
      test_acc5: own.top5,
      ...(averaged ? { ema_acc1: averaged.top1, ema_acc5: averaged.top5 } : {}),
    };
    const ema = averaged ? `; of the averaged weights ${averaged.top1.toFixed(2)} %` : '';
    this.report.note(
      `validation after ${this.at.moment}: top-1 ${own.top1.toFixed(2)} %, loss ${own.loss.toFixed(4)}${ema}`,
    );
    return this.#judged;
  }

  protected watched = ({ test_loss }: Judgement): number => test_loss;
  protected merit = ({ test_acc1, ema_acc1 = 0 }: Judgement): number => Math.max(test_acc1, ema_acc1);

  protected async gather(optimizer: OptimizerState, training: TrainingState): Promise<ClassifierCheckpoint> {
    const { config, data, classifier, averaged } = this.#parts;
    const weights = await classifier.parameters.read();
    const averages = (await averaged?.parameters.read()) ?? null;
    return { config, weights, averages, data, optimizer, training };
  }

  protected write = saveClassifier;
}

const FINETUNING = {
  command: 'finetune',
  table: FINETUNE_OPTIONS,
  load: (path: string) => loadClassifier(path, { training: true }),
};
