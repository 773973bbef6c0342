// Writes model files.
import { writeFileAtomic } from '../../engine/node/files.ts';
import { encodeModel, type Stored } from './encodemodel.ts';
import type { Task } from './modelfile.ts';

/** Writes the file whole or not at all. Metadata that is not text goes in as JSON; null is left out. */
export const writeModel = (
  path: string,
  stored: Stored,
  task: Task,
  metadata: Readonly<Record<string, unknown>>,
): Promise<void> => writeFileAtomic(path, encodeModel(stored, task, metadata));
