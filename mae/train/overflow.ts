// What a run in f16 says of its loss scale: numbers at every save, a note where too many steps overflow, and what to do about a
// loss that is no number.
import type { Engine } from '../../engine/engine.ts';
import type { Optimizer } from '../../engine/optim/optimizer.ts';
import type { LossScaleState } from './modelfile.ts';
import { lossScaleState } from './restore.ts';

/** Fewer steps say nothing: a scale that starts too high costs a few. */
const LEAST_STEPS = 10;
const MOST_SKIPPED = 0.1;

const REMEDY = 'lower the learning rate, or start a new run with --precision f32';

type Out = Readonly<{ metric: (line: Record<string, number>) => Promise<void>; note: (line: string) => void }>;

/** Follows a run from save to save; a run in f32 has no state and says nothing. */
export class Overflows {
  readonly #out: Out;
  #newest: number;
  #judged: { step: number; skipped: number };

  /** @param step optimizer steps done, skipped ones included; `state` is where the scale stood then */
  constructor(out: Out, step: number, state: LossScaleState | null | undefined) {
    this.#out = out;
    this.#newest = step;
    this.#judged = { step, skipped: state?.skipped ?? 0 };
  }

  /** At a save. A second file of the same step adds nothing. */
  async saved(step: number, epoch: number, state: LossScaleState | null): Promise<void> {
    if (!state || step === this.#newest) return;
    this.#newest = step;
    const { scale, skipped } = state;
    await this.#out.metric({ step, epoch, loss_scale: scale, skipped_steps: skipped });
    const steps = step - this.#judged.step;
    if (steps < LEAST_STEPS) return;
    const lost = skipped - this.#judged.skipped;
    this.#judged = { step, skipped };
    if (lost > MOST_SKIPPED * steps) {
      const much = `${lost} of the last ${steps} steps overflowed and were skipped`;
      this.#out.note(`precision f16: ${much} (loss scale ${scale}); ${REMEDY}`);
    }
  }
}

/** The message for a loss that is NaN or infinite; `what` begins it. */
export async function notFinite(
  engine: Engine,
  { lossScale }: Pick<Optimizer, 'lossScale'>,
  what: string,
): Promise<string> {
  if (!lossScale) return `${what}; lower the learning rate, or resume from the last checkpoint`;
  const { scale, skipped } = await lossScaleState(engine, lossScale);
  return `${what}, with precision f16, loss scale ${scale}, ${skipped} steps skipped; ${REMEDY}`;
}
