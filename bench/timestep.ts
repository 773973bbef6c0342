// Time of a whole training step: forward, backward and AdamW, on images that lie on the device.
import type { StepFigures, StepSizes } from '../mae/cli/bench.ts';
import type { Trial } from '../mae/train/trial.ts';
import { median, summed } from './median.ts';

/** Steps are timed in groups that take at least so long: waiting has a grain of about a millisecond. */
const GROUP_MS = 25;

/** Submits `count` steps, then waits for the last. `hosted` gets what the host spent on each. */
async function timed(step: Trial, count: number, hosted: number[] = []): Promise<number> {
  const began = performance.now();
  let last: () => Promise<number> = async () => 0;
  for (let i = 0; i < count; i++) {
    const before = performance.now();
    last = await step.submit();
    // From the fourth of a group on, submitting waits for a free slot: that is the device's time.
    if (i < 3) hosted.push(performance.now() - before);
  }
  const loss = await last();
  if (!Number.isFinite(loss)) throw new Error(`bench: the loss became ${loss}`);
  return (performance.now() - began) / count;
}

/** Time of a step that is at hand; `since` is when the time to the end of the first one begins to count. */
export async function timeStep(
  step: Trial,
  sizes: Pick<StepSizes, 'batchSize' | 'steps' | 'warmup'>,
  since = performance.now(),
): Promise<StepFigures> {
  let latest = await timed(step, 1);
  const first = performance.now() - since;
  for (let i = 1; i < sizes.warmup; i++) latest = await timed(step, 1);
  const group = Math.max(1, Math.ceil(GROUP_MS / latest));
  const hosted: number[] = [];
  const samples: number[] = [];
  for (let i = 0; i < sizes.steps; i += group) samples.push(await timed(step, group, hosted));
  const { ms, spread } = summed(samples);
  return {
    ms,
    spread,
    images_per_s: (1000 * sizes.batchSize) / ms,
    gflop: step.plan.flops / 1e9,
    peak_bytes: step.plan.peakBytes,
    dispatches: step.plan.dispatches,
    picked: step.plan.picked,
    host_ms: median(hosted),
    first_step_ms: first,
  };
}
