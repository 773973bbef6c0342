// Time of a whole training step: forward, backward and AdamW, on images that lie on the device.
import type { Engine } from '../engine/engine.ts';
import { uniformNoise } from '../engine/ops/masking.ts';
import { AdamW } from '../engine/optim/adamw.ts';
import type { Plan } from '../engine/plan.ts';
import { Trainer } from '../engine/trainer.ts';
import { random } from '../kernels/random/random.ts';
import type { StepBench, StepFigures, StepSizes } from '../mae/cli/bench.ts';
import { STREAM } from '../mae/data/streams.ts';
import { decays, lenKeep, patchesOf } from '../mae/model/config.ts';
import { MaskedAutoencoder } from '../mae/model/model.ts';

const INPUTS = { ids: 'u32', clock: 'u32' } as const;
/** Steps are timed in groups that take at least so long: waiting has a grain of about a millisecond. */
const GROUP_MS = 25;

export interface TrainingStep {
  readonly plan: Plan;
  /** Submits one step; the result resolves when the device has done it. */
  submit(): Promise<() => Promise<number>>;
}

/** The step that pretraining replays, with random images and weights. */
export function trainingStep(engine: Engine, { config, batchSize, maskRatio }: StepSizes): TrainingStep {
  const keep = lenKeep(patchesOf(config), maskRatio);
  const shape = [batchSize, config.in_chans, ...config.img_size];
  const rng = random(0);
  const pixels = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 2 * rng.uniform() - 1);
  const images = engine.variable('images', shape, { data: pixels });
  const model = new MaskedAutoencoder(engine, config, 0);
  const optimizer = new AdamW(engine, model.parameters, {
    betas: [0.9, 0.95],
    group: (variable) => ({ weightDecay: decays(variable) ? 0.05 : 0, lrScale: 1 }),
  });
  const trainer = new Trainer(engine, {
    inputs: INPUTS,
    optimizer,
    loss: ({ ids, clock }, t) => {
      const noise = uniformNoise(ids, clock, patchesOf(config), 0, STREAM.mask);
      return model.forward(t.use(images), noise, keep, { dropout: { ids, clock, seed: 0 } }).loss;
    },
  });
  const ids = { data: Uint32Array.from({ length: batchSize }, (_, i) => i), shape: [batchSize] };
  let step = 0;
  return {
    plan: trainer.plan({ ids: ids.shape, clock: [2] }),
    submit: async () => {
      const clock = { data: Uint32Array.of(0, step++), shape: [2] };
      const [result] = await trainer.step({ ids, clock }, { lr: 1e-4 });
      return async () => (await result.read()).loss[0];
    },
  };
}

/** Submits `count` steps, then waits for the last. `hosted` gets what the host spent on each. */
async function timed(step: TrainingStep, count: number, hosted: number[] = []): Promise<number> {
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

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

export const benchStep: StepBench['benchStep'] = async (engine, sizes): Promise<StepFigures> => {
  const step = trainingStep(engine, sizes);
  let latest = 0;
  for (let i = 0; i < sizes.warmup; i++) latest = await timed(step, 1);
  const group = Math.max(1, Math.ceil(GROUP_MS / latest));
  const hosted: number[] = [];
  const samples: number[] = [];
  for (let i = 0; i < sizes.steps; i += group) samples.push(await timed(step, group, hosted));
  const ms = median(samples);
  return {
    ms,
    images_per_s: (1000 * sizes.batchSize) / ms,
    gflop: step.plan.flops / 1e9,
    peak_bytes: step.plan.peakBytes,
    dispatches: step.plan.dispatches,
    host_ms: median(hosted),
  };
};
