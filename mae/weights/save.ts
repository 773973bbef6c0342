// Weights of others as files of ours, which every command reads without a question.
import type { Loaded } from './loaded.ts';
import { TASK_OF } from '../train/modelfile.ts';
import { writeModel } from '../train/savemodel.ts';
import { specsOf } from './export.ts';
import { UNSAID } from './own.ts';

export async function saveLoaded(path: string, loaded: Loaded, { half = false } = {}): Promise<void> {
  const { kind, config, data, maskRatio, weights } = loaded;
  const target = kind === 'autoencoder' ? (loaded.target ?? UNSAID) : null;
  await writeModel(path, { specs: specsOf(loaded), weights, optimizer: null, half }, TASK_OF[kind], {
    config,
    data,
    target,
    mask_ratio: String(maskRatio),
  });
}
