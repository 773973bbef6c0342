// Learning rate of facebookresearch/mae's util/lr_sched.py: linear warm-up, then half a cosine, per iteration.

export interface Schedule {
  readonly lr: number;
  readonly min_lr: number;
  readonly warmup_epochs: number;
  readonly epochs: number;
}

/** `epoch` counts fractions: epoch + iteration / iterations. The very first step of a warm-up has rate 0. */
export function learningRate(epoch: number, { lr, min_lr, warmup_epochs, epochs }: Schedule): number {
  if (epoch < warmup_epochs) return (lr * epoch) / warmup_epochs;
  const through = (epoch - warmup_epochs) / (epochs - warmup_epochs);
  return min_lr + (lr - min_lr) * 0.5 * (1 + Math.cos(Math.PI * through));
}

/** The reference's rule for the absolute rate. */
export const scaledRate = (blr: number, effectiveBatch: number): number => (blr * effectiveBatch) / 256;
