// What decides a run's numbers: kept in its checkpoints, and asked for again where it goes on.
import type { Engine } from '../../engine/engine.ts';

/** Options that change where results go, or when, but no number of them. */
const BESIDES = new Set([
  'output_dir',
  'log_dir',
  'pictures',
  'resume',
  'overwrite',
  'save_freq',
  'keep',
  'save_steps',
  'eval_freq',
  'num_workers',
  'max_steps',
  'checkpoint_blocks',
  'memory',
  'best',
  'evidence_freq',
  'evidence_images',
]);
/** What a run may go on with differently, as with the reference's --resume; it then is another run than it began as. */
export const CHANGEABLE = new Set(['epochs', 'lr', 'blr', 'min_lr', 'warmup_epochs', 'weight_decay', 'clip_grad']);

/** The options that decide a run's numbers; of the precision what the engine computes in, whether or not the flag said so. */
export const recipeOf = (
  options: Readonly<Record<string, unknown>>,
  { precision }: Pick<Engine, 'precision'>,
): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries({ ...options, precision })
      .filter(([name]) => !BESIDES.has(name))
      .map(([name, value]) => [name, value ?? null]),
  );
