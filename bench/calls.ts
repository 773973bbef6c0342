// `tesserae bench kernels --step`: the calls of a training step, each timed by itself.
import { Engine } from '../engine/engine.ts';
import type { CallBench } from '../mae/cli/benchkernels.ts';
import { trialStep } from '../mae/train/trial.ts';
import { timePlan } from './kernels.ts';
import { report } from './result.ts';

export const benchCalls: CallBench['benchCalls'] = async (device, sizes, samples, progress) => {
  using engine = new Engine(device, { precision: sizes.precision });
  const { plan } = trialStep(engine, sizes.config, sizes.batchSize, sizes.maskRatio, sizes.checkpointBlocks);
  const rows = await timePlan(device, plan, { samples }, progress);
  return report('kernels --step', device, { ...sizes, precision: engine.precision, samples }, rows);
};
