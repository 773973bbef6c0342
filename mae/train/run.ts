// A training run, whatever it trains: epochs over a data set, losses read late, logs, checkpoints, and a resume that changes no bit.
import type { Engine, InputTypes } from '../../engine/engine.ts';
import { fail } from '../../engine/errors.ts';
import type { Batch as Inputs } from '../../engine/trainer.ts';
import { type DamageLedger, replacements } from '../data/damage.ts';
import { type Batch, loadBatches } from '../data/loader.ts';
import { newCapacities } from '../data/pack.ts';
import { epochOrder, type Place } from '../data/sampler.ts';
import type { TrainingState } from './checkpoint.ts';
import { openLedger } from './damaged.ts';
import { BEST, Journal, LATEST } from './journal.ts';
import type { LossScaleState, OptimizerState } from './modelfile.ts';
import { notFinite, Overflows } from './overflow.ts';
import type { Reporter } from './reporter.ts';
import { adapterOf, optimizerState, restoreOptimizer } from './resume.ts';
import { plateau } from './schedule.ts';
import type { RunSetup } from './setup.ts';
import { Standing } from './standing.ts';

/** Steps whose losses may still be on the device. */
const LOSSES_IN_FLIGHT = 2;

/** Numbers of an evaluation, by their names in the logs. */
export type Judgement = Readonly<Record<string, number>>;

export abstract class TrainingRun<I extends InputTypes> {
  protected readonly engine: Engine;
  protected readonly report: Reporter;
  protected readonly stepsPerEpoch: number;
  readonly #setup: RunSetup<I>;
  readonly #capacities = newCapacities();
  readonly #overflows: Overflows;
  readonly #journal: Journal;
  readonly #at: Standing;
  #damaged!: DamageLedger;
  #inFlight: { step: number; loss: Promise<number> }[] = [];
  #done = 0;
  #images = 0;
  #started = 0;

  protected constructor(setup: RunSetup<I>) {
    const { engine, options, report, command, train, trainer, updates, from } = setup;
    this.engine = engine;
    this.report = report;
    this.#setup = setup;
    this.stepsPerEpoch = updates.count;
    if (this.stepsPerEpoch < 1) {
      fail(
        `${command}: ${train.length} images are fewer than batch_size x accum_iter = ${updates.full}; lower --batch_size`,
      );
    }
    const { images = train.length } = from?.training ?? {};
    // The order of samples depends on how many there are.
    if (images !== train.length) {
      fail(
        `resume: the data has ${train.length} images, the run began with ${images}; put them back, or start a new run`,
      );
    }
    if (from) restoreOptimizer(engine, trainer.optimizer, from);
    this.#at = new Standing(from?.training ?? null, { ...options, lr: setup.lr, stepsPerEpoch: this.stepsPerEpoch });
    this.#journal = new Journal(options, command, report.note);
    const out = { metric: (line: Record<string, number>) => this.#journal.metric(line), note: report.note };
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
    await this.#journal.open(this.#setup.from?.training ?? {});
    this.#damaged = await openLedger(this.#journal, this.#setup.train.length, this.report.note);
  }

  /** Trains to the end, or until it is asked to stop. */
  protected async all(): Promise<{ imagesPerSecond: number; done: number; checkpoint: string }> {
    const { epochs, max_steps } = this.#setup.options;
    const total = Math.min(epochs * this.stepsPerEpoch, max_steps ?? Number.POSITIVE_INFINITY);
    const from = this.position;
    this.report.start(total, from);
    this.#started = performance.now();
    if (from === 0) await this.#judge();
    while (this.#at.epoch < epochs && this.position < total && !this.#setup.stop?.aborted) {
      await this.#trainEpoch(total);
      if (this.#at.step < this.stepsPerEpoch) break;
      await this.#endEpoch();
    }
    await this.#save(LATEST, true);
    this.report.finish();
    return { imagesPerSecond: this.#pace(), done: this.#done, checkpoint: this.#journal.path(LATEST) };
  }

  async #trainEpoch(total: number): Promise<void> {
    const { engine, options, train, output, updates } = this.#setup;
    const { seed, batch_size, save_steps } = options;
    const order = epochOrder(seed, this.#at.epoch, train.length);
    const loader = loadBatches(train, {
      order: order.subarray(0, updates.images),
      batchSize: batch_size,
      places: updates.places(),
      startBatch: updates.firstPart(this.#at.step),
      place: this.place(this.#at.epoch),
      output: { ...output, maxBytes: engine.device.gpu.limits.maxStorageBufferBindingSize },
      concurrency: options.num_workers,
      replacement: replacements(seed, this.#at.epoch, train.length),
      capacities: this.#capacities,
    });
    let parts: Batch[] = [];
    for await (const batch of loader) {
      const { ids, damaged } = batch;
      this.#at.damage = await this.#damaged.after(this.#at.damage, ids.length, damaged);
      parts.push(batch);
      if (parts.length < updates.parts(this.#at.step).length) continue;
      await this.#update(parts);
      parts = [];
      if (this.position >= total || this.#setup.stop?.aborted) break;
      if (save_steps && this.#at.step % save_steps === 0) await this.#save(LATEST);
    }
    await this.#drain(0);
  }

  /** One optimizer step over its micro-batches; its loss is noted a few steps later. */
  async #update(parts: readonly Batch[]): Promise<void> {
    const [epoch, step] = [this.#at.epoch, this.#at.step];
    const sources = parts.map((batch) => () => this.inputs(batch, epoch, step));
    const images = parts.reduce((sum, { ids }) => sum + ids.length, 0);
    const weights = parts.map(({ ids }) => ids.length / images);
    const results = await this.#setup.trainer.step(sources, { lr: this.rate(), weights });
    const losses = Promise.all(results.map(async (r, i) => (await r.read()).loss[0] * weights[i]));
    losses.catch(() => undefined);
    this.#inFlight.push({ step, loss: losses.then((l) => l.reduce((a, b) => a + b, 0)) });
    this.#at.step++;
    this.#done++;
    this.#images += images;
    await this.#drain(LOSSES_IN_FLIGHT);
  }

  /** Takes the losses of all but the last `leave` steps off the device, in order. */
  async #drain(leave: number): Promise<void> {
    while (this.#inFlight.length > leave) {
      const { step, loss: promise } = this.#inFlight.shift() as { step: number; loss: Promise<number> };
      const loss = await promise;
      const epoch = this.#at.epoch;
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
      const { updates } = this.#setup;
      this.#at.lossSum += loss * (updates.size(step) / updates.full);
      const position = epoch * this.stepsPerEpoch + step + 1;
      const lr = this.rate(step);
      const imagesPerSecond = this.#pace();
      this.report.step({ epoch, step: position, loss, lr, imagesPerSecond });
      await this.#journal.metric({
        step: position,
        epoch,
        loss,
        lr,
        images_per_s: Math.round(imagesPerSecond * 10) / 10,
      });
    }
  }

  async #endEpoch(): Promise<void> {
    const { save_freq, epochs, patience, gamma = 0.1 } = this.#setup.options;
    const epoch = this.#at.epoch;
    const log: Record<string, number> = {
      train_lr: this.#at.meanRate(),
      train_loss: this.#at.lossSum / (this.#setup.updates.images / this.#setup.updates.full),
      epoch,
    };
    Object.assign(log, this.endEpoch(log.train_loss));
    const last = epoch + 1 === epochs;
    this.#at.nextEpoch();
    const before = this.#at.best;
    let better = false;
    if (last || this.isEvaluated(epoch)) {
      const judged = await this.#judge();
      Object.assign(log, judged);
      const loss = this.watched(judged);
      if (Number.isFinite(loss)) this.#at.plateau = plateau(this.#at.plateau, loss, { patience, gamma });
      const merit = this.merit(judged);
      better = merit !== null && merit > (this.#at.best ?? Number.NEGATIVE_INFINITY);
      if (better) this.#at.best = merit;
    }
    await this.#journal.epoch(log);
    // One that could not be kept is none to be better than.
    if (better && !(await this.#save(BEST))) this.#at.best = before;
    // The latest one after it: it says which numbered ones there are.
    if (save_freq && (last || epoch % save_freq === 0)) await this.#save(`checkpoint-${epoch}.safetensors`);
    await this.#save(LATEST);
  }

  async #judge(): Promise<Judgement> {
    const judged = await this.evaluate();
    if (Object.keys(judged).length)
      await this.#journal.metric({ step: this.position, epoch: this.#at.epoch, ...judged });
    return judged;
  }

  /** False where the disk refused; the `final` one must not fail. */
  async #save(name: string, final = false): Promise<boolean> {
    await this.#drain(0);
    const { trainer, train, recipe } = this.#setup;
    const optimizer = await optimizerState(this.engine, trainer.optimizer);
    await this.#overflows.saved(this.position, this.#at.epoch, optimizer.lossScale as LossScaleState | null);
    const state = {
      recipe,
      images: train.length,
      ...this.#at.state,
      micro_batch: this.#setup.updates.micro_batch,
      adapter: adapterOf(this.engine),
      picks: Object.fromEntries(this.engine.picks),
    };
    return this.#journal.save(name, (path, folder) => this.write(path, optimizer, { ...state, ...folder }), final);
  }

  protected get epoch(): number {
    return this.#at.epoch;
  }
  /** Optimizer steps since the beginning. */
  protected get position(): number {
    return this.#at.position;
  }

  #pace(): number {
    return this.#images / ((performance.now() - this.#started) / 1000);
  }

  /** Of a step of this epoch; of the next one unless said. */
  protected rate(step?: number): number {
    return this.#at.rate(step);
  }
}
