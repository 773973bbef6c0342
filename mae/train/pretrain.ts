// Pretraining on Node: data by its path, a folder of logs, checkpoints and pictures, and a run in it that outlives its device.
import type { Engine } from '../../engine/engine.ts';
import { deviceMemory } from '../../engine/node/devicememory.ts';
import { Evidence } from '../evaluate/evidence.ts';
import { beginningWeights } from './begin.ts';
import { type Checkpoint, saveCheckpoint } from './checkpoint.ts';
import { trainingData } from './data.ts';
import { introduce } from './introduce.ts';
import { Journal } from './journal.ts';
import type { PretrainOptions } from './options.ts';
import { type Ingredients, pretrainParts, PretrainRun, type PretrainSummary } from './pretraining.ts';
import { ProgressPictures } from './progress-pictures.ts';
import { unbroken } from './recovery.ts';
import type { Reporter } from './reporter.ts';
import { findResume } from './resume.ts';
import type { Kept } from './setup.ts';

/** `stop`: asks the run to save and to end; `--resume auto` then goes on. */
export async function pretrain(
  engine: Engine,
  options: PretrainOptions,
  report: Reporter,
  stop?: AbortSignal,
): Promise<PretrainSummary> {
  const begun = await findResume(engine, options, report);
  const journal = new Journal(options, 'pretrain', report.note);
  const { memory: bytes } = options;
  const limit = bytes === undefined ? await deviceMemory(engine.device.adapter) : { bytes, of: '--memory' };
  const { train, heldout } = await trainingData(options, report);
  const { note } = report;
  const { seed, evidence_freq, evidence_images: images, output_dir: folder, pictures: count } = options;
  const ingredients: Omit<Ingredients, 'from'> = {
    train,
    heldout,
    limit,
    weights: (config) => beginningWeights(config, options, report),
    sights: (model, preparer, keep) => {
      const shown = { folder, count, keep, seed, note };
      return {
        pictures: count > 0 ? new ProgressPictures(engine, model, preparer, heldout ?? train, shown) : null,
        evidence:
          heldout && evidence_freq > 0 ? new Evidence(engine, model, { train, val: heldout, images, note }) : null,
      };
    },
  };
  const make = async (from: Checkpoint | null, kept: Kept<Checkpoint> | null): Promise<PretrainRun> => {
    const made = await pretrainParts(engine, options, { ...ingredients, from }, report);
    const run = new PretrainRun(engine, options, made, saveCheckpoint, { journal, report, from, kept, stop });
    const { model, trainer, updates } = made;
    if (!kept) introduce(engine, options, model, trainer, train, updates, report, from !== null);
    return run;
  };
  return unbroken({ engine, report, command: 'pretrain', from: begun, make, stop });
}
