// The images of a run on Node: --data_path.
import { openData, remarksOf } from '../data/open.ts';
import { divided, type TrainingData } from './divided.ts';
import type { PretrainOptions } from './options.ts';
import type { Reporter } from './reporter.ts';

/** Opens the data; a set that is asked for by name is fetched where it is not in the cache. */
export async function trainingData(options: PretrainOptions, report: Reporter): Promise<TrainingData> {
  const { data_path, heldout } = options;
  const data = await openData(data_path, (fraction, what) => report.fetching(fraction, what), heldout);
  for (const remark of remarksOf(data)) report.note(remark);
  const kept = data.heldout?.length ?? 0;
  if (kept && !heldout)
    report.note(
      `data: ${kept} images for validation are there; --heldout ${Math.min(kept, 1000)} judges by them after each epoch`,
    );
  return divided(data, options);
}
