// Checkpoints of models that no run has trained.
import { type Checkpoint, saveCheckpoint } from '../../mae/train/checkpoint.ts';
import { initialWeights } from '../../mae/model/init.ts';
import { TINY } from './tiny.ts';

const SOME = { name: 'x', mean: [0.4, 0.5, 0.6], std: [0.25, 0.3, 0.2], classes: null };

/** Writes a checkpoint without optimizer and training; the tiny model's, of weights that are always the same, unless told otherwise. */
export function saveModel(
  path: string,
  { config = TINY, weights = initialWeights(config, 1), data = SOME }: Partial<Checkpoint> = {},
): Promise<void> {
  return saveCheckpoint(path, { config, weights, data, maskRatio: 0.5, optimizer: null, training: null });
}
