// Learning rates over a run: a linear warm-up, then half a cosine (facebookresearch/mae's util/lr_sched.py), steps, plateaus, or nothing.

export const SCHEDULES = ['cosine', 'step', 'plateau', 'constant'] as const;

/** How the learning rate goes over a run; epochs may be fractions. */
export interface Schedule {
  /** cosine unless said */
  readonly sched?: (typeof SCHEDULES)[number];
  readonly lr: number;
  /** Where the cosine ends, and what steps and plateaus do not pass. */
  readonly min_lr: number;
  readonly warmup_epochs: number;
  readonly epochs: number;
  /** Of steps: epochs between them, and the factor of each (torch's StepLR). */
  readonly step_epochs?: number;
  readonly gamma?: number;
  /** Of plateaus: what they have multiplied the rate by so far. */
  readonly factor?: number;
}

/** `epoch` counts fractions: epoch + iteration / iterations. The very first step of a warm-up has rate 0. */
export function learningRate(epoch: number, schedule: Schedule): number {
  const { sched = 'cosine', lr, min_lr, warmup_epochs, epochs, step_epochs = 30, gamma = 0.1, factor = 1 } = schedule;
  if (epoch < warmup_epochs) return (lr * epoch) / warmup_epochs;
  const through = (epoch - warmup_epochs) / (epochs - warmup_epochs);
  switch (sched) {
    case 'cosine':
      return min_lr + (lr - min_lr) * 0.5 * (1 + Math.cos(Math.PI * through));
    case 'step':
      return Math.max(min_lr, lr * gamma ** Math.floor(epoch / step_epochs));
    case 'plateau':
      return Math.max(min_lr, lr * factor);
    case 'constant':
      return lr;
  }
}

/** The reference's rule for the absolute rate. */
export const scaledRate = (blr: number, effectiveBatch: number): number => (blr * effectiveBatch) / 256;

export interface PlateauState {
  /** null before the first number. */
  readonly best: number | null;
  /** Numbers in a row that were no better. */
  readonly bad: number;
  /** What the rate is multiplied by. */
  readonly factor: number;
}

/** Only what is better by this part of itself counts as better. */
const THRESHOLD = 1e-4;

/** Torch's ReduceLROnPlateau for a loss: after more than `patience` numbers that are no better, the rate is multiplied by `gamma`. */
export function plateau(
  { best, bad, factor }: PlateauState,
  loss: number,
  { patience, gamma }: { patience: number; gamma: number },
): PlateauState {
  if (best === null || loss < best * (1 - THRESHOLD)) return { best: loss, bad: 0, factor };
  return bad + 1 > patience ? { best, bad: 0, factor: factor * gamma } : { best, bad: bad + 1, factor };
}
