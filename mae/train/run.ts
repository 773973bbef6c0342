// A training run, whatever it trains: epochs over a data set, losses read late, logs, checkpoints, and a resume that changes no bit.
import type { Engine, InputTypes } from '../../engine/engine.ts';
import type { OutOfMemoryError } from '../../engine/errors.ts';
import type { Batch as Inputs, StepResults } from '../../engine/trainer.ts';
import { type DamageLedger, replacements } from '../data/damage.ts';
import { type Batch, loadBatches } from '../data/loader.ts';
import { newCapacities } from '../data/pack.ts';
import { epochOrder, type Place } from '../data/sampler.ts';
import type { TrainingState } from './checkpoint.ts';
import { openLedger } from './damaged.ts';
import { runFacts, TIMED_STEP, timedStep } from './facts.ts';
import { Keeper } from './keeper.ts';
import type { OptimizerState } from './modelfile.ts';
import { NonFinite, type Skipped } from './nonfinite.ts';
import type { Reporter } from './reporter.ts';
import { restoreOptimizer } from './restore.ts';
import { refusal } from './room.ts';
import { plateau } from './schedule.ts';
import { BEST, type Checkpointed, type Kept, LATEST, type Pace, refuseUnfit, type RunSetup } from './setup.ts';
import { Standing } from './standing.ts';

/** Steps whose losses may still be on the device. */
const LOSSES_IN_FLIGHT = 2;

/** Numbers of an evaluation, by their names in the logs. */
export type Judgement = Readonly<Record<string, number>>;

/** A step whose results are still on the device. */
interface InFlight<I extends InputTypes> extends Omit<Skipped<I>, 'position' | 'loss'> {
  readonly step: number;
  readonly read: Promise<Awaited<ReturnType<StepResults[number]['read']>>[]>;
}

export abstract class TrainingRun<I extends InputTypes, C extends Checkpointed> {
  protected readonly engine: Engine;
  protected readonly report: Reporter;
  protected readonly stepsPerEpoch: number;
  protected readonly at: Standing;
  readonly #setup: RunSetup<I, C>;
  readonly #capacities = newCapacities();
  readonly #keeper: Keeper<I, C>;
  #damaged!: DamageLedger;
  readonly #nonFinite: NonFinite<I>;
  #inFlight: InFlight<I>[] = [];
  readonly #pace: Pace = { done: 0, images: 0, started: 0 };
  #speed = Number.NaN;

  protected constructor(setup: RunSetup<I, C>) {
    const { engine, options, report, train, trainer, updates, from } = setup;
    this.engine = engine;
    this.report = report;
    this.#setup = setup;
    this.stepsPerEpoch = updates.count;
    refuseUnfit(setup);
    if (from) restoreOptimizer(engine, trainer.optimizer, from);
    this.at = new Standing(from?.training ?? null, { ...options, lr: setup.lr, stepsPerEpoch: this.stepsPerEpoch });
    this.#nonFinite = new NonFinite(trainer, train, report.note);
    this.#keeper = new Keeper(setup, this.at, {
      gather: (optimizer, training) => this.gather(optimizer, training),
      write: (path, checkpoint) => this.write(path, checkpoint),
    });
    Object.assign(this.#pace, setup.kept?.pace);
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
  protected abstract gather(optimizer: OptimizerState, training: TrainingState): Promise<C>;
  protected abstract write(path: string, checkpoint: C): Promise<void>;

  /** Makes the output folder what it was where this run begins. */
  async openFolder(): Promise<void> {
    await this.#keeper.open();
    this.#damaged = await openLedger(this.#keeper.journal, this.#setup.train.length, this.report.note);
  }

  /** Trains to the end, or until it is asked to stop. */
  protected async all(): Promise<{ imagesPerSecond: number; done: number; checkpoint: string }> {
    const { epochs, max_steps } = this.#setup.options;
    const total = Math.min(epochs * this.stepsPerEpoch, max_steps ?? Number.POSITIVE_INFINITY);
    const from = this.position;
    this.report.start(total, from);
    if (!this.kept) {
      this.#pace.started = performance.now();
      if (from === 0) await this.#judge();
      await this.#keep();
    }
    while (this.at.epoch < epochs && this.position < total && !this.#setup.stop?.aborted) {
      await this.#trainEpoch(total);
      if (this.at.step < this.stepsPerEpoch) break;
      await this.#endEpoch();
    }
    await this.#keeper.save(LATEST, await this.#keep(true), true);
    if (!this.#setup.stop?.aborted) await this.#judgeEnd();
    this.report.finish();
    return { imagesPerSecond: this.#speed, done: this.#pace.done, checkpoint: this.#keeper.journal.path(LATEST) };
  }

  async #trainEpoch(total: number): Promise<void> {
    const { engine, options, train, output, updates } = this.#setup;
    const { seed, batch_size, save_steps } = options;
    const order = epochOrder(seed, this.at.epoch, train.length);
    const loader = loadBatches(train, {
      order: order.subarray(0, updates.images),
      batchSize: batch_size,
      places: updates.places(),
      startBatch: updates.firstPart(this.at.step),
      place: this.place(this.at.epoch),
      output: { ...output, maxBytes: engine.device.gpu.limits.maxStorageBufferBindingSize },
      workers: options.num_workers,
      replacement: replacements(seed, this.at.epoch, train.length),
      capacities: this.#capacities,
    });
    let parts: Batch[] = [];
    for await (const batch of loader) {
      if (!parts.length && !(await this.#goesOn())) break;
      const { ids, damaged } = batch;
      this.at.damage = await this.#damaged.after(this.at.damage, ids.length, damaged);
      parts.push(batch);
      if (parts.length < updates.parts(this.at.step).length) continue;
      await this.#update(parts);
      parts = [];
      if (this.position >= total || this.#setup.stop?.aborted) break;
      if (save_steps && this.at.step % save_steps === 0) await this.#keeper.save(LATEST, await this.#keep(true));
      else if (this.#keeper.due) await this.#keep();
    }
    await this.#drain(0);
  }

  /** Whether there is a next update, once it may come. */
  async #goesOn(): Promise<boolean> {
    const { between, stop } = this.#setup;
    if (!between) return true;
    const began = performance.now();
    await between();
    this.#pace.started += performance.now() - began;
    return !stop?.aborted;
  }

  /** One optimizer step over its micro-batches; its loss is noted a few steps later. */
  async #update(parts: readonly Batch[]): Promise<void> {
    const [epoch, step] = [this.at.epoch, this.at.step];
    const sources = parts.map((batch) => () => this.inputs(batch, epoch, step));
    const images = parts.reduce((sum, { ids }) => sum + ids.length, 0);
    const weights = parts.map(({ ids }) => ids.length / images);
    const results = await this.#timed(() => this.#setup.trainer.step(sources, { lr: this.at.rate(), weights }));
    const read = Promise.all(results.map((r) => r.read()));
    read.catch(() => undefined); // nobody may come to await it
    this.#inFlight.push({ step, read, ids: parts.flatMap(({ ids }) => [...ids]), sources, weights });
    this.at.step++;
    this.#pace.done++;
    this.#pace.images += images;
    await this.#drain(LOSSES_IN_FLIGHT);
  }

  /** One of the first steps tells what its kernels take. */
  async #timed(step: () => Promise<StepResults>): Promise<StepResults> {
    if (this.#pace.done + 1 !== TIMED_STEP) return step();
    const { value, facts } = await timedStep(this.engine, step);
    await this.#keeper.journal.facts(runFacts(this.#setup, facts));
    return value;
  }

  /** Takes the losses of all but the last `leave` steps off the device, in order. */
  async #drain(leave: number): Promise<void> {
    for (let next = this.#inFlight[0]; this.#inFlight.length > leave; next = this.#inFlight[0]) {
      this.#inFlight.shift();
      const { step, weights } = next;
      const results = await next.read;
      const loss = results.reduce((sum, r, i) => sum + r.loss[0] * weights[i], 0);
      const epoch = this.at.epoch;
      const position = epoch * this.stepsPerEpoch + step + 1;
      if (this.#nonFinite.is(loss, results.at(-1)?.skipped?.[0])) {
        await this.#nonFinite.meet({ ...next, position, loss });
        this.at.left += this.#setup.updates.size(step);
        await this.#keeper.journal.metric({ step: position, epoch, left_out: 1 });
        continue;
      }
      const { updates } = this.#setup;
      this.at.lossSum += loss * (updates.size(step) / updates.full);
      const lr = this.at.rate(step);
      const imagesPerSecond = this.#measureSpeed();
      this.report.step({ epoch, step: position, loss, lr, imagesPerSecond });
      await this.#keeper.journal.metric({ step: position, epoch, loss, lr, images_per_s: imagesPerSecond });
    }
  }

  async #endEpoch(): Promise<void> {
    const { save_freq, epochs, patience, gamma = 0.1 } = this.#setup.options;
    const { updates } = this.#setup;
    const epoch = this.at.epoch;
    const log = this.at.line(updates);
    await this.#keeper.journal.metric({ step: this.position, epoch, gpu_bytes: this.engine.stats.bytes });
    Object.assign(log, this.endEpoch(log.train_loss));
    const last = epoch + 1 === epochs;
    this.at.nextEpoch();
    const before = this.at.best;
    let better = false;
    if (last || this.isEvaluated(epoch)) {
      const judged = await this.#judge();
      Object.assign(log, judged);
      const loss = this.watched(judged);
      if (Number.isFinite(loss)) this.at.plateau = plateau(this.at.plateau, loss, { patience, gamma });
      const merit = this.merit(judged);
      better = merit !== null && merit > (this.at.best ?? Number.NEGATIVE_INFINITY);
      if (better) this.at.best = merit;
    }
    await this.#keeper.journal.epoch(log);
    const kept = await this.#keep(true);
    // One that could not be kept is none to be better than.
    if (better && !(await this.#keeper.save(BEST, kept))) this.at.best = before;
    // The latest one after it: it says which numbered ones there are.
    if (save_freq && (last || epoch % save_freq === 0))
      await this.#keeper.save(`checkpoint-${epoch}.safetensors`, kept);
    await this.#keeper.save(LATEST, kept);
  }

  /**
   * Judges where --max_steps ended the run, unless that was done. The checkpoint is of before these lines: who goes on from it takes them back.
   */
  async #judgeEnd(): Promise<void> {
    const { epoch, step } = this.at;
    if (epoch === this.#setup.options.epochs || (step === 0 && this.isEvaluated(epoch - 1))) return;
    const judged = await this.#judge();
    if (step > 0) await this.#keeper.journal.epoch({ ...this.at.line(this.#setup.updates), ...judged });
    else if (Object.keys(judged).length) await this.#keeper.journal.epoch({ epoch: epoch - 1, ...judged });
  }

  async #judge(): Promise<Judgement> {
    const judged = await this.evaluate();
    if (Object.keys(judged).length)
      await this.#keeper.journal.metric({ step: this.position, epoch: this.at.epoch, ...judged });
    return judged;
  }

  /** Copies the state to the host: a run whose device is lost goes on from there. */
  async #keep(saving = false): Promise<C> {
    await this.#drain(0);
    return this.#keeper.keep(this.#pace, { saving });
  }

  /** Copies the state to the host, once all losses are told. To be called between two updates. */
  snapshot = (): Promise<C> => this.#keep();

  get kept(): Kept<C> | null {
    return this.#keeper.kept;
  }

  advanced(to: number): Kept<C> | null {
    return this.#keeper.advanced(to);
  }

  /** What to say where the device had no room. */
  refusal(error: OutOfMemoryError): string {
    const { peak, updates, smaller } = this.#setup;
    return refusal(error, { peak, micro_batch: updates.micro_batch, smaller });
  }

  rescue(): Promise<void> {
    return this.#keeper.rescue();
  }

  salvage(): Promise<number | null> {
    return this.#keeper.salvage();
  }

  /** Optimizer steps since the beginning. */
  get position(): number {
    return this.at.position;
  }

  /** Images per second of this process up to now, evaluations and saves included: told, written, and summed up in the end as it is here. */
  #measureSpeed(): number {
    const seconds = (performance.now() - this.#pace.started) / 1000;
    this.#speed = Math.round((10 * this.#pace.images) / seconds) / 10;
    return this.#speed;
  }
}
