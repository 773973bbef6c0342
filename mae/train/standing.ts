// Where a run stands, and the learning rate there.
import { type DamageCount, NO_DAMAGE } from '../data/damage.ts';
import type { TrainingState } from './checkpoint.ts';
import { learningRate, type PlateauState, type Schedule } from './schedule.ts';
import type { RunOptions } from './setup.ts';
import type { Updates } from './updates.ts';

type Settings = RunOptions & { readonly lr: number; readonly stepsPerEpoch: number };

export class Standing {
  epoch: number;
  /** Optimizer steps done in this epoch. */
  step: number;
  /** Of this epoch so far. */
  lossSum: number;
  /** Of this epoch so far: images of steps that were left out. */
  left: number;
  plateau: PlateauState;
  /** The best evaluation so far. */
  best: number | null;
  damage: DamageCount;
  /** The peak learning rate; another one holds from the next step on. */
  lr: number;
  readonly #settings: Settings;

  /** @param training null at the beginning */
  constructor(training: TrainingState | null, settings: Settings) {
    const { epoch = 0, step = 0, lossSum = 0, left = 0, best = null, plateau } = training ?? {};
    this.left = left;
    [this.epoch, this.step, this.lossSum, this.best] = [epoch, step, lossSum, best];
    this.plateau = plateau ?? { best: null, bad: 0, factor: 1 };
    this.damage = training?.damage ?? NO_DAMAGE;
    this.#settings = settings;
    this.lr = settings.lr;
  }

  /** Optimizer steps since the beginning. */
  get position(): number {
    return this.epoch * this.#settings.stepsPerEpoch + this.step;
  }

  get isWithinEpoch(): boolean {
    return this.step > 0;
  }

  /** Where it stands, in words. */
  get moment(): string {
    return this.isWithinEpoch ? `step ${this.position}` : `epoch ${this.epoch}`;
  }

  /** Its part of a checkpoint. */
  get state(): Pick<TrainingState, 'epoch' | 'step' | 'lossSum' | 'left' | 'plateau' | 'best' | 'damage'> {
    const { epoch, step, lossSum, left, plateau, best, damage } = this;
    return { epoch, step, lossSum, ...(left ? { left } : {}), plateau, best, damage };
  }

  nextEpoch(): void {
    this.epoch++;
    [this.step, this.lossSum, this.left] = [0, 0, 0];
  }

  /** Of a step of this epoch; of the next one unless said. */
  rate(step = this.step): number {
    const { sched, stepsPerEpoch, ...rest } = this.#settings;
    const schedule = { ...rest, lr: this.lr, sched: sched as Schedule['sched'], factor: this.plateau.factor };
    return learningRate(this.epoch + step / stepsPerEpoch, schedule);
  }

  /** What log.txt says of this epoch as far as it has come; `part` says how far, where that is not its end. */
  line(updates: Updates): Record<string, number> {
    const { epoch, step, left, lossSum } = this;
    let [rates, images] = [0, 0];
    for (let i = 0; i < step; i++) {
      rates += this.rate(i);
      images += updates.size(i);
    }
    // The reference logs the mean rate over the epoch's iterations.
    const line = { train_lr: rates / step, train_loss: lossSum / ((images - left) / updates.full), epoch };
    return step < updates.count ? { ...line, part: step / updates.count } : line;
  }
}
