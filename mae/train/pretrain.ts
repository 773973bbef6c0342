// Pretraining: epochs over a data set, logs, checkpoints, and a resume that changes no bit.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from '../../engine/engine.ts';
import { fail } from '../../engine/errors.ts';
import { appendLine, cutLog, durableLength, removeStrayTemporaries } from '../../engine/node/files.ts';
import type { Optimizer } from '../../engine/optim/optimizer.ts';
import type { Batch as Inputs, Trainer } from '../../engine/trainer.ts';
import type { Reporter } from './reporter.ts';
import type { Dataset } from '../data/dataset.ts';
import { type Batch, loadBatches } from '../data/loader.ts';
import { newCapacities } from '../data/pack.ts';
import { epochOrder, randomPlaces } from '../data/sampler.ts';
import { lenKeep, type MaeConfig, patchesOf } from '../model/config.ts';
import { MaskedAutoencoder } from '../model/model.ts';
import { type Checkpoint, type DataInfo, saveCheckpoint } from './checkpoint.ts';
import { type TrainingData, trainingData } from './data.ts';
import { Heldout } from './heldout.ts';
import { modelConfig, peakRate, type PretrainOptions } from './options.ts';
import { introduce } from './introduce.ts';
import { notFinite, Overflows } from './overflow.ts';
import { Preparer } from './prepare.ts';
import { adapterOf, findResume, optimizerState, recipeOf, restoreOptimizer, sameImages } from './resume.ts';
import { learningRate } from './schedule.ts';
import { pretrainStep, type StepInputs } from './step.ts';

/** Steps whose losses may still be on the device. */
const LOSSES_IN_FLIGHT = 2;

export interface PretrainSummary {
  readonly model: MaskedAutoencoder;
  readonly data: DataInfo;
  readonly imagesPerSecond: number;
  /** Optimizer steps of this process. */
  readonly done: number;
  readonly checkpoint: string;
}

export async function pretrain(engine: Engine, options: PretrainOptions, report: Reporter): Promise<PretrainSummary> {
  const run = await Run.open(engine, options, report);
  return run.train();
}

/** One training run: what stays the same from epoch to epoch, and where it stands. */
class Run {
  readonly #engine: Engine;
  readonly #options: PretrainOptions;
  readonly #report: Reporter;
  readonly #config: MaeConfig;
  readonly #train: Dataset;
  readonly #model: MaskedAutoencoder;
  readonly #optimizer: Optimizer;
  readonly #trainer: Trainer<StepInputs>;
  readonly #preparer: Preparer;
  readonly #heldout: Heldout | null;
  readonly #data: DataInfo;
  readonly #stepsPerEpoch: number;
  readonly #capacities = newCapacities();
  #epoch: number;
  #step: number;
  #lossSum: number;
  readonly #overflows: Overflows;
  #inFlight: { step: number; loss: Promise<number> }[] = [];
  #done = 0;
  #started = 0;

  private constructor(
    engine: Engine,
    options: PretrainOptions,
    report: Reporter,
    opened: TrainingData,
    from: Checkpoint | null,
  ) {
    const { seed, batch_size, accum_iter, mask_ratio } = options;
    this.#engine = engine;
    this.#options = options;
    this.#report = report;
    this.#config = modelConfig(options);
    const { mean, std, name, classes } = opened.train;
    this.#data = { name, mean: [...mean], std: [...std], classes: classes && [...classes] };
    this.#train = opened.train;
    const perStep = batch_size * accum_iter;
    this.#stepsPerEpoch = Math.floor(this.#train.length / perStep);
    if (this.#stepsPerEpoch < 1) {
      fail(
        `pretrain: ${this.#train.length} images are fewer than batch_size x accum_iter = ${perStep}; lower --batch_size`,
      );
    }
    sameImages(from, this.#train.length);
    if (opened.train.channels !== this.#config.in_chans) {
      fail(
        `pretrain: --in_chans is ${this.#config.in_chans}, this data has ${opened.train.channels} channels; leave it out`,
      );
    }
    this.#model = new MaskedAutoencoder(engine, this.#config, from?.weights ?? seed);
    this.#preparer = new Preparer(engine, this.#config, { mean, std });
    this.#trainer = pretrainStep(engine, this.#model, (batch) => this.#preparer.images(batch), options);
    this.#optimizer = this.#trainer.optimizer;
    if (from) restoreOptimizer(engine, this.#optimizer, from);
    const keep = lenKeep(patchesOf(this.#config), mask_ratio);
    this.#heldout =
      opened.heldout &&
      new Heldout(engine, this.#model, this.#preparer, opened.heldout, { batchSize: batch_size, keep, seed });
    this.#epoch = from?.training?.epoch ?? 0;
    this.#step = from?.training?.step ?? 0;
    this.#lossSum = from?.training?.lossSum ?? 0;
    const out = { metric: (line: Record<string, number>) => this.#metric(line), note: report.note };
    this.#overflows = new Overflows(out, this.#position(), from?.optimizer?.lossScale);
  }

  /** Opens the data and the output folder, and goes on from a checkpoint where there is one to go on from. */
  static async open(engine: Engine, options: PretrainOptions, report: Reporter): Promise<Run> {
    const from = await findResume(engine, options, report);
    const opened = await trainingData(options, report);
    await mkdir(options.output_dir, { recursive: true }).catch((error: Error) =>
      fail(`pretrain: --output_dir ${options.output_dir}: ${error.message}`),
    );
    await removeStrayTemporaries(options.output_dir);
    const run = new Run(engine, options, report, opened, from);
    introduce(engine, options, run.#model, run.#trainer, opened.train, run.#stepsPerEpoch, report, from !== null);
    for (const log of LOGS) await cutLog(join(options.output_dir, log), from?.training?.logs[log] ?? 0);
    return run;
  }

  async train(): Promise<PretrainSummary> {
    const { epochs, max_steps, batch_size, accum_iter } = this.#options;
    const total = Math.min(epochs * this.#stepsPerEpoch, max_steps ?? Number.POSITIVE_INFINITY);
    const from = this.#position();
    this.#report.start(total, from);
    this.#started = performance.now();
    if (from === 0) await this.#evaluate();
    while (this.#epoch < epochs && this.#position() < total) {
      await this.#trainEpoch(total);
      if (this.#step < this.#stepsPerEpoch) break;
      await this.#endEpoch(epochs);
    }
    await this.#save('checkpoint.safetensors');
    this.#report.finish();
    const seconds = (performance.now() - this.#started) / 1000;
    return {
      model: this.#model,
      data: this.#data,
      imagesPerSecond: (this.#done * batch_size * accum_iter) / seconds,
      done: this.#done,
      checkpoint: join(this.#options.output_dir, 'checkpoint.safetensors'),
    };
  }

  async #trainEpoch(total: number): Promise<void> {
    const { seed, batch_size, accum_iter, save_steps } = this.#options;
    const order = epochOrder(seed, this.#epoch, this.#train.length);
    const [height, width] = this.#config.img_size;
    const loader = loadBatches(this.#train, {
      // What does not fill an update is left out, as the reference drops the last batch.
      order: order.subarray(0, this.#stepsPerEpoch * accum_iter * batch_size),
      batchSize: batch_size,
      startBatch: this.#step * accum_iter,
      place: randomPlaces(seed, this.#epoch),
      output: {
        chans: this.#config.in_chans,
        height,
        width,
        maxBytes: this.#engine.device.gpu.limits.maxStorageBufferBindingSize,
      },
      concurrency: this.#options.num_workers,
      capacities: this.#capacities,
    });
    let parts: Batch[] = [];
    for await (const batch of loader) {
      parts.push(batch);
      if (parts.length < accum_iter) continue;
      await this.#update(parts);
      parts = [];
      if (this.#position() >= total) break;
      if (save_steps && this.#step % save_steps === 0) await this.#save('checkpoint.safetensors');
    }
    await this.#drain(0);
  }

  /** One optimizer step over accum_iter batches; its loss is noted a few steps later. */
  async #update(parts: readonly Batch[]): Promise<void> {
    const lr = this.#rate();
    const clock = { data: Uint32Array.of(this.#epoch, this.#step), shape: [2] };
    const sources = parts.map((batch) => async (): Promise<Inputs<StepInputs>> => {
      await this.#preparer.run(batch);
      return { ids: { data: batch.ids, shape: [batch.ids.length] }, clock };
    });
    const results = await this.#trainer.step(sources, { lr });
    const losses = Promise.all(results.map(async (r) => (await r.read()).loss[0]));
    losses.catch(() => undefined);
    this.#inFlight.push({ step: this.#step, loss: losses.then((l) => l.reduce((a, b) => a + b, 0) / l.length) });
    this.#step++;
    this.#done++;
    await this.#drain(LOSSES_IN_FLIGHT);
  }

  /** Takes the losses of all but the last `leave` steps off the device, in order. */
  async #drain(leave: number): Promise<void> {
    while (this.#inFlight.length > leave) {
      const { step, loss: promise } = this.#inFlight.shift() as { step: number; loss: Promise<number> };
      const loss = await promise;
      if (!Number.isFinite(loss)) {
        const where = `epoch ${this.#epoch}, step ${step}`;
        fail(await notFinite(this.#engine, this.#optimizer, loss, where));
      }
      this.#lossSum += loss;
      const position = this.#epoch * this.#stepsPerEpoch + step + 1;
      const { batch_size, accum_iter } = this.#options;
      const seconds = (performance.now() - this.#started) / 1000;
      const imagesPerSecond = (this.#done * batch_size * accum_iter) / seconds;
      const lr = this.#rate(step);
      this.#report.step({ epoch: this.#epoch, step: position, loss, lr, imagesPerSecond });
      await this.#metric({
        step: position,
        epoch: this.#epoch,
        loss,
        lr,
        images_per_s: Math.round(imagesPerSecond * 10) / 10,
      });
    }
  }

  async #endEpoch(epochs: number): Promise<void> {
    const { output_dir, eval_freq, save_freq } = this.#options;
    const epoch = this.#epoch;
    const log: Record<string, number> = {
      train_lr: this.#meanRate(),
      train_loss: this.#lossSum / this.#stepsPerEpoch,
      epoch,
    };
    const last = epoch + 1 === epochs;
    this.#epoch++;
    this.#step = 0;
    this.#lossSum = 0;
    if (this.#heldout && (last || (epoch + 1) % eval_freq === 0)) log.heldout_loss = await this.#evaluate();
    await appendLine(join(output_dir, 'log.txt'), JSON.stringify(log), { durable: true });
    await this.#save('checkpoint.safetensors');
    if (save_freq && (last || epoch % save_freq === 0)) await this.#save(`checkpoint-${epoch}.safetensors`);
  }

  async #evaluate(): Promise<number> {
    if (!this.#heldout) return Number.NaN;
    const loss = await this.#heldout.loss();
    await this.#metric({ step: this.#position(), epoch: this.#epoch, heldout_loss: loss });
    this.#report.note(`held-out masked loss after epoch ${this.#epoch}: ${loss.toFixed(4)}`);
    return loss;
  }

  /** One line of metrics.jsonl: numbers of a step, or of an evaluation. */
  async #metric(line: Record<string, number>): Promise<void> {
    await appendLine(join(this.#options.output_dir, 'metrics.jsonl'), JSON.stringify(line));
  }

  async #save(name: string): Promise<void> {
    await this.#drain(0);
    const { output_dir, mask_ratio } = this.#options;
    const optimizer = await optimizerState(this.#engine, this.#optimizer);
    await this.#overflows.saved(this.#position(), this.#epoch, optimizer.lossScale);
    const lengths: [string, number][] = [];
    for (const log of LOGS) lengths.push([log, await durableLength(join(output_dir, log))]);
    await saveCheckpoint(join(output_dir, name), {
      config: this.#config,
      weights: await this.#model.parameters.read(),
      data: this.#data,
      maskRatio: mask_ratio,
      optimizer,
      training: {
        recipe: recipeOf(this.#options, this.#engine),
        images: this.#train.length,
        epoch: this.#epoch,
        step: this.#step,
        lossSum: this.#lossSum,
        logs: Object.fromEntries(lengths),
        adapter: adapterOf(this.#engine),
        picks: Object.fromEntries(this.#engine.picks),
      },
    });
  }

  /** Optimizer steps since the beginning. */
  #position(): number {
    return this.#epoch * this.#stepsPerEpoch + this.#step;
  }

  #rate(step = this.#step): number {
    return learningRate(this.#epoch + step / this.#stepsPerEpoch, { ...this.#options, lr: peakRate(this.#options) });
  }

  /** The reference logs the mean over the epoch's iterations. */
  #meanRate(): number {
    let sum = 0;
    for (let step = 0; step < this.#stepsPerEpoch; step++) sum += this.#rate(step);
    return sum / this.#stepsPerEpoch;
  }
}

const LOGS = ['log.txt', 'metrics.jsonl'] as const;
