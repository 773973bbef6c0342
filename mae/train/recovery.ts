// A training run that outlives its device, and weights that are no numbers: it goes on from the last copy of its state.
import type { Engine } from '../../engine/engine.ts';
import {
  CapacityError,
  DeviceHungError,
  DeviceLostError,
  OutOfMemoryError,
  TesseraeError,
} from '../../engine/errors.ts';
import { Ruined } from './nonfinite.ts';
import { endingSoon } from './cutshort.ts';
import type { Reporter } from './reporter.ts';
import type { Kept } from './setup.ts';

/** Losses in a row that get no further than the one before. */
const MOST_LOSSES = 3;
/** Times that a run goes back to good weights within so many steps. */
const MOST_RETURNS = 3;
const RETURNS_WITHIN = 1000;

const REMEDY = 'with --resume auto the same command goes on from the last checkpoint; a smaller --batch_size may help';

/** One try at a run, from where the last one was kept. */
export interface Attempt<C, R> {
  openFolder(): Promise<void>;
  train(): Promise<R>;
  /** What the next try can go on from; null before there is any. */
  readonly kept: Kept<C> | null;
  /** The same, with the steps up to `to` left out. */
  advanced(to: number): Kept<C> | null;
  /** Optimizer steps whose losses are known. */
  readonly position: number;
  refusal(error: OutOfMemoryError): string;
  /** Saves what was kept, without the device. */
  rescue(): Promise<void>;
  /** The same in the middle of a step, which then comes to nothing. The step that was saved; null where that cannot be done now. */
  salvage(): Promise<number | null>;
}

interface RecoveryOptions<C, R> {
  readonly engine: Engine;
  readonly report: Pick<Reporter, 'note'>;
  /** For errors. */
  readonly command: string;
  /** The checkpoint that the first try goes on from; null where it goes on from none. */
  readonly from: C | null;
  readonly make: (from: C | null, kept: Kept<C> | null) => Promise<Attempt<C, R>>;
  /** What to do where device after device is lost; the command line's way unless said. */
  readonly remedy?: string;
  /** The signal that the attempts are asked to stop by. */
  readonly stop?: AbortSignal;
}

/**
 * Trains to the end, try after try: after a lost device on a new one from the copy that was kept, after ruined weights from good ones.
 * @throws CutShort where `stop` says that the process ends soon, and a step did not
 */
export function unbroken<C, R>(options: RecoveryOptions<C, R>): Promise<R> {
  let last: Attempt<C, R> | null = null;
  const begun = (attempt: Attempt<C, R>): void => void (last = attempt);
  return endingSoon(attempts(options, begun), options.stop, async () => last?.salvage() ?? null);
}

/** @throws DeviceLostError, after a rescue, where device after device is lost and nothing is gained in between */
async function attempts<C, R>(options: RecoveryOptions<C, R>, begun: (attempt: Attempt<C, R>) => void): Promise<R> {
  const { engine, report, command, from, make, remedy = REMEDY } = options;
  let last: Attempt<C, R> | null = null;
  let kept: Kept<C> | null = null;
  let furthest = -1;
  let losses = 0;
  let returns: number[] = [];
  for (;;) {
    try {
      const run: Attempt<C, R> = await make(kept?.checkpoint ?? from, kept);
      await run.openFolder();
      last = run;
      begun(run);
      return await run.train();
    } catch (error) {
      kept = last?.kept ?? null;
      if (error instanceof OutOfMemoryError && last) throw new CapacityError(`${command}: ${last.refusal(error)}`);
      if (error instanceof Ruined && kept) {
        const { what, upTo } = error;
        returns = [...returns.filter((at) => at > upTo - RETURNS_WITHIN), upTo];
        if (returns.length > MOST_RETURNS)
          throw new TesseraeError(
            `${command}: ${error.message}; going back to good weights did not help ${MOST_RETURNS} times`,
          );
        report.note(
          `${what}; going back to the weights of step ${kept.position}, leaving out the batches up to ${upTo}`,
        );
        kept = last?.advanced(upTo) ?? null;
        await engine.renew();
        continue;
      }
      if (!(error instanceof DeviceLostError)) throw error;
      const position = last?.position ?? 0;
      losses = position > furthest ? 1 : losses + 1;
      furthest = Math.max(furthest, position);
      const began = performance.now();
      try {
        if (losses >= MOST_LOSSES)
          throw new DeviceLostError(`${error.message} (${losses} times, and never got past step ${furthest})`);
        if (error instanceof DeviceHungError && error.kernel) throw error;
        // A driver that resets itself at the same place again may have a kernel to blame.
        await engine.renew({ cautious: losses > 1 });
      } catch (final) {
        await last?.rescue();
        throw new DeviceLostError(`${command}: ${(final as Error).message}; ${remedy}`);
      }
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      const step = kept ? `step ${kept.position}` : 'where it began';
      const how = error instanceof DeviceHungError || losses > 1 ? ', call by call to find the kernel' : '';
      report.note(`${error.message.trim()}; opened again in ${seconds} s, going on from ${step}${how}`);
    }
  }
}
