// Settings that can be run but hardly mean what they do: a line on each. Nothing is changed by them.
import type { Updates } from './updates.ts';

/** Above it AdamW seldom learns: the paper's peak, and the largest of our recipes, is 2.4e-3. */
const MOST_ADAMW = 0.02;
/** Below it nothing moves within any number of epochs that somebody waits for. */
const LEAST_ADAMW = 1e-6;
/** Within so few updates a masked autoencoder learns little more than mean colours. */
const FEW = 200;

interface Rates {
  readonly opt: string;
  /** Given by itself, not by --blr. */
  readonly lr?: number;
  readonly warmup_epochs: number;
  readonly epochs: number;
}

/** `peak`: the largest learning rate of the schedule. */
export function rateDoubts({ opt, lr, warmup_epochs, epochs }: Rates, peak: number): string[] {
  const lines: string[] = [];
  // The reference trains so without a word, and so must we; but who lowers --epochs alone should know.
  if (warmup_epochs > epochs)
    lines.push(`--warmup_epochs ${warmup_epochs} passes --epochs ${epochs}: the learning rate will only rise`);
  const flag = lr === undefined ? '--blr' : '--lr';
  const rate = Number(peak.toPrecision(3));
  const of = lr === undefined ? ' (--blr x batch / 256)' : '';
  if (opt === 'adamw' && peak > MOST_ADAMW)
    lines.push(`the learning rate ${rate}${of} is more than AdamW bears as a rule: lower ${flag}, to 1e-3 say`);
  if (opt === 'adamw' && peak < LEAST_ADAMW)
    lines.push(`at the learning rate ${rate}${of} hardly anything will change: raise ${flag}, to 1e-3 say`);
  return lines;
}

interface Amount {
  readonly epochs: number;
  readonly max_steps?: number;
  readonly lr?: number;
}

/** Of pretraining by so many updates. */
export function amountDoubts({ epochs, max_steps, lr }: Amount, { count, full, images }: Updates): string[] {
  const lines: string[] = [];
  if (images < full && lr === undefined)
    lines.push(`the learning rate is that of ${full} images an update, but there are ${images}: lower --batch_size`);
  if (max_steps === undefined && count * epochs < FEW)
    lines.push(`${count * epochs} updates in all are few to learn from: raise --epochs, or lower --batch_size`);
  return lines;
}
