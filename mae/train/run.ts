// A training run, whatever it trains: epochs over a data set, losses read late, logs, checkpoints, and a resume that changes no bit.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine, InputTypes } from '../../engine/engine.ts';
import { fail } from '../../engine/errors.ts';
import { appendLine, cutLog, durableLength, removeStrayTemporaries } from '../../engine/node/files.ts';
import type { Batch as Inputs, Trainer } from '../../engine/trainer.ts';
import type { Dataset } from '../data/dataset.ts';
import { type Batch, loadBatches } from '../data/loader.ts';
import { newCapacities, type PackTo } from '../data/pack.ts';
import { epochOrder, type Place } from '../data/sampler.ts';
import type { TrainingState } from './checkpoint.ts';
import type { LossScaleState, OptimizerState } from './modelfile.ts';
import { notFinite, Overflows } from './overflow.ts';
import type { Reporter } from './reporter.ts';
import { adapterOf, optimizerState, restoreOptimizer } from './resume.ts';
import { learningRate, plateau, type PlateauState, type Schedule } from './schedule.ts';

/** Steps whose losses may still be on the device. */
const LOSSES_IN_FLIGHT = 2;
const LOGS = ['log.txt', 'metrics.jsonl'] as const;
export const LATEST = 'checkpoint.safetensors';
export const BEST = 'checkpoint-best.safetensors';

export interface RunOptions extends Omit<Schedule, 'lr' | 'sched'> {
  readonly output_dir: string;
  readonly seed: number;
  readonly batch_size: number;
  readonly accum_iter: number;
  readonly max_steps?: number;
  readonly num_workers: number;
  readonly save_steps: number;
  readonly save_freq: number;
  readonly sched: string;
  readonly patience: number;
}

/** What a run begins with. */
export interface RunSetup<I extends InputTypes> {
  readonly engine: Engine;
  readonly options: RunOptions;
  readonly report: Reporter;
  /** The command, for errors. */
  readonly command: string;
  readonly train: Dataset;
  readonly output: PackTo;
  readonly trainer: Trainer<I>;
  /** Peak learning rate. */
  readonly lr: number;
  /** What decides its numbers, kept in checkpoints. */
  readonly recipe: Readonly<Record<string, unknown>>;
  /** Asks the run to save and to end after the step that it is at. */
  readonly stop?: AbortSignal;
  readonly from: { readonly training: TrainingState | null; readonly optimizer: OptimizerState | null } | null;
}

/** Numbers of an evaluation, by their names in the logs. */
export type Judgement = Readonly<Record<string, number>>;

export abstract class TrainingRun<I extends InputTypes> {
  protected readonly engine: Engine;
  protected readonly report: Reporter;
  protected readonly stepsPerEpoch: number;
  readonly #setup: RunSetup<I>;
  readonly #capacities = newCapacities();
  readonly #overflows: Overflows;
  #epoch: number;
  #step: number;
  #lossSum: number;
  #plateau: PlateauState;
  #best: number | null;
  #inFlight: { step: number; loss: Promise<number> }[] = [];
  #done = 0;
  #started = 0;

  protected constructor(setup: RunSetup<I>) {
    const { engine, options, report, command, train, trainer, from } = setup;
    this.engine = engine;
    this.report = report;
    this.#setup = setup;
    const perStep = options.batch_size * options.accum_iter;
    this.stepsPerEpoch = Math.floor(train.length / perStep);
    if (this.stepsPerEpoch < 1) {
      fail(
        `${command}: ${train.length} images are fewer than batch_size x accum_iter = ${perStep}; lower --batch_size`,
      );
    }
    const { epoch = 0, step = 0, lossSum = 0, images = train.length, best = null } = from?.training ?? {};
    // The order of samples depends on how many there are.
    if (images !== train.length) {
      fail(
        `resume: the data has ${train.length} images, the run began with ${images}; put them back, or start a new run`,
      );
    }
    if (from) restoreOptimizer(engine, trainer.optimizer, from);
    [this.#epoch, this.#step, this.#lossSum, this.#best] = [epoch, step, lossSum, best];
    this.#plateau = from?.training?.plateau ?? { best: null, bad: 0, factor: 1 };
    const out = { metric: (line: Record<string, number>) => this.#metric(line), note: report.note };
    this.#overflows = new Overflows(out, this.position, from?.optimizer?.lossScale);
  }

  /** Which part of every image, and whether it is mirrored. */
  protected abstract place(epoch: number): Place;
  /** Puts a batch on the device, and gives what the step takes. Called when its turn comes. */
  protected abstract inputs(batch: Batch, epoch: number, step: number): Promise<Inputs<I>>;
  /** At the end of an epoch of this mean loss: what else changes, and what the log says of it. */
  protected endEpoch(_loss: number): Judgement {
    return {};
  }
  /** Numbers on images that training does not see; {} where there are none. */
  protected abstract evaluate(): Promise<Judgement>;
  /** Whether to evaluate after this epoch, from 0. */
  protected abstract isEvaluated(epoch: number): boolean;
  /** Of an evaluation, what the plateau schedule watches: smaller is better. */
  protected abstract watched(judged: Judgement): number;
  /** Of an evaluation, what the best checkpoint is chosen by: larger is better; null where none is kept. */
  protected abstract merit(judged: Judgement): number | null;
  /** Writes a checkpoint of everything. */
  protected abstract write(path: string, optimizer: OptimizerState, training: TrainingState): Promise<void>;

  /** Makes the output folder what it was when the run was saved. */
  protected async openFolder(): Promise<void> {
    const { options, from, command } = this.#setup;
    await mkdir(options.output_dir, { recursive: true }).catch((error: Error) =>
      fail(`${command}: --output_dir ${options.output_dir}: ${error.message}`),
    );
    await removeStrayTemporaries(options.output_dir);
    for (const log of LOGS) await cutLog(join(options.output_dir, log), from?.training?.logs[log] ?? 0);
  }

  /** Trains to the end, or until it is asked to stop. */
  protected async all(): Promise<{ imagesPerSecond: number; done: number; checkpoint: string }> {
    const { epochs, max_steps, output_dir } = this.#setup.options;
    const total = Math.min(epochs * this.stepsPerEpoch, max_steps ?? Number.POSITIVE_INFINITY);
    const from = this.position;
    this.report.start(total, from);
    this.#started = performance.now();
    if (from === 0) await this.#judge();
    while (this.#epoch < epochs && this.position < total && !this.#setup.stop?.aborted) {
      await this.#trainEpoch(total);
      if (this.#step < this.stepsPerEpoch) break;
      await this.#endEpoch();
    }
    await this.#save(LATEST);
    this.report.finish();
    return { imagesPerSecond: this.#pace(), done: this.#done, checkpoint: join(output_dir, LATEST) };
  }

  async #trainEpoch(total: number): Promise<void> {
    const { engine, options, train, output } = this.#setup;
    const { seed, batch_size, accum_iter, save_steps } = options;
    const order = epochOrder(seed, this.#epoch, train.length);
    const loader = loadBatches(train, {
      // What does not fill an update is left out, as the reference drops the last batch.
      order: order.subarray(0, this.stepsPerEpoch * accum_iter * batch_size),
      batchSize: batch_size,
      startBatch: this.#step * accum_iter,
      place: this.place(this.#epoch),
      output: { ...output, maxBytes: engine.device.gpu.limits.maxStorageBufferBindingSize },
      concurrency: options.num_workers,
      capacities: this.#capacities,
    });
    let parts: Batch[] = [];
    for await (const batch of loader) {
      parts.push(batch);
      if (parts.length < accum_iter) continue;
      await this.#update(parts);
      parts = [];
      if (this.position >= total || this.#setup.stop?.aborted) break;
      if (save_steps && this.#step % save_steps === 0) await this.#save(LATEST);
    }
    await this.#drain(0);
  }

  /** One optimizer step over accum_iter batches; its loss is noted a few steps later. */
  async #update(parts: readonly Batch[]): Promise<void> {
    const [epoch, step] = [this.#epoch, this.#step];
    const sources = parts.map((batch) => () => this.inputs(batch, epoch, step));
    const results = await this.#setup.trainer.step(sources, { lr: this.rate() });
    const losses = Promise.all(results.map(async (r) => (await r.read()).loss[0]));
    losses.catch(() => undefined);
    this.#inFlight.push({ step, loss: losses.then((l) => l.reduce((a, b) => a + b, 0) / l.length) });
    this.#step++;
    this.#done++;
    await this.#drain(LOSSES_IN_FLIGHT);
  }

  /** Takes the losses of all but the last `leave` steps off the device, in order. */
  async #drain(leave: number): Promise<void> {
    while (this.#inFlight.length > leave) {
      const { step, loss: promise } = this.#inFlight.shift() as { step: number; loss: Promise<number> };
      const loss = await promise;
      const epoch = this.#epoch;
      if (!Number.isFinite(loss)) {
        const { command, trainer } = this.#setup;
        fail(
          await notFinite(
            this.engine,
            trainer.optimizer,
            `${command}: the loss is ${loss} at epoch ${epoch}, step ${step}`,
          ),
        );
      }
      this.#lossSum += loss;
      const position = epoch * this.stepsPerEpoch + step + 1;
      const lr = this.rate(step);
      const imagesPerSecond = this.#pace();
      this.report.step({ epoch, step: position, loss, lr, imagesPerSecond });
      await this.#metric({ step: position, epoch, loss, lr, images_per_s: Math.round(imagesPerSecond * 10) / 10 });
    }
  }

  async #endEpoch(): Promise<void> {
    const { output_dir, save_freq, epochs, patience, gamma = 0.1 } = this.#setup.options;
    const epoch = this.#epoch;
    const log: Record<string, number> = {
      train_lr: this.#meanRate(),
      train_loss: this.#lossSum / this.stepsPerEpoch,
      epoch,
    };
    Object.assign(log, this.endEpoch(log.train_loss));
    const last = epoch + 1 === epochs;
    this.#epoch++;
    this.#step = 0;
    this.#lossSum = 0;
    let better = false;
    if (last || this.isEvaluated(epoch)) {
      const judged = await this.#judge();
      Object.assign(log, judged);
      const loss = this.watched(judged);
      if (Number.isFinite(loss)) this.#plateau = plateau(this.#plateau, loss, { patience, gamma });
      const merit = this.merit(judged);
      better = merit !== null && merit > (this.#best ?? Number.NEGATIVE_INFINITY);
      if (better) this.#best = merit;
    }
    await appendLine(join(output_dir, 'log.txt'), JSON.stringify(log), { durable: true });
    if (better) await this.#save(BEST);
    await this.#save(LATEST);
    if (save_freq && (last || epoch % save_freq === 0)) await this.#save(`checkpoint-${epoch}.safetensors`);
  }

  async #judge(): Promise<Judgement> {
    const judged = await this.evaluate();
    if (Object.keys(judged).length) await this.#metric({ step: this.position, epoch: this.#epoch, ...judged });
    return judged;
  }

  /** One line of metrics.jsonl: numbers of a step, or of an evaluation. */
  async #metric(line: Record<string, number>): Promise<void> {
    await appendLine(join(this.#setup.options.output_dir, 'metrics.jsonl'), JSON.stringify(line));
  }

  async #save(name: string): Promise<void> {
    await this.#drain(0);
    const { options, trainer, train, recipe } = this.#setup;
    const optimizer = await optimizerState(this.engine, trainer.optimizer);
    await this.#overflows.saved(this.position, this.#epoch, optimizer.lossScale as LossScaleState | null);
    const logs: Record<string, number> = {};
    for (const log of LOGS) logs[log] = await durableLength(join(options.output_dir, log));
    await this.write(join(options.output_dir, name), optimizer, {
      recipe,
      images: train.length,
      epoch: this.#epoch,
      step: this.#step,
      lossSum: this.#lossSum,
      logs,
      adapter: adapterOf(this.engine),
      picks: Object.fromEntries(this.engine.picks),
      plateau: this.#plateau,
      best: this.#best,
    });
  }

  protected get epoch(): number {
    return this.#epoch;
  }
  /** Optimizer steps since the beginning. */
  protected get position(): number {
    return this.#epoch * this.stepsPerEpoch + this.#step;
  }

  #pace(): number {
    const { batch_size, accum_iter } = this.#setup.options;
    return (this.#done * batch_size * accum_iter) / ((performance.now() - this.#started) / 1000);
  }

  protected rate(step = this.#step): number {
    const { options, lr } = this.#setup;
    const { sched, ...rest } = options;
    const schedule = { ...rest, sched: sched as Schedule['sched'], lr, factor: this.#plateau.factor };
    return learningRate(this.#epoch + step / this.stepsPerEpoch, schedule);
  }

  /** The reference logs the mean over the epoch's iterations. */
  #meanRate(): number {
    let sum = 0;
    for (let step = 0; step < this.stepsPerEpoch; step++) sum += this.rate(step);
    return sum / this.stepsPerEpoch;
  }
}
