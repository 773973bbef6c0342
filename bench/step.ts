// `tesserae bench step`: the training step of a model, measured.
import type { StepBench } from '../mae/cli/bench.ts';
import { whatText } from '../mae/cli/sizes.ts';
import { trialStep } from '../mae/train/trial.ts';
import { report } from './result.ts';
import { timeStep } from './timestep.ts';

export const benchStep: StepBench['benchStep'] = async (engine, sizes) => {
  const { config, batchSize, maskRatio, checkpointBlocks } = sizes;
  // performance.now() counts from the start of the process.
  const figures = await timeStep(trialStep(engine, config, batchSize, maskRatio, checkpointBlocks), sizes, 0);
  const { ms, spread } = figures;
  const options = { ...sizes, precision: engine.precision };
  const rows = [{ name: `step of ${whatText(sizes)}`, ms, spread }];
  const about = { profile: engine.device.traits.profile, precision: engine.precision, batch_size: batchSize };
  return { figures, report: { ...report('step', engine.device, options, rows), ...figures, ...about } };
};
