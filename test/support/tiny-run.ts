// A pretraining run of Node's that has hardly begun, of a model so small that its steps take no time: what tests of the page go on from.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Engine } from '../../engine/engine.ts';
import { openDawn } from '../../engine/node/dawn.ts';
import { type Checkpoint, loadCheckpoint } from '../../mae/train/checkpoint.ts';
import { parsePretrainOptions } from '../../mae/train/options.ts';
import { pretrain } from '../../mae/train/pretrain.ts';
import { recipeToResume } from '../../mae/train/resume.ts';
import { silent } from '../../mae/train/reporter.ts';

const TINY = {
  ...{
    model: 'mae_vit_nano_patch4_32',
    embed_dim: 24,
    depth: 1,
    num_heads: 2,
    decoder_embed_dim: 16,
    decoder_depth: 1,
  },
  ...{ decoder_num_heads: 2, batch_size: 8, heldout: 8, sched: 'constant', warmup_epochs: 0, lr: 1e-2 },
};

interface TinyRun {
  readonly path: string;
  readonly bytes: Buffer;
  readonly checkpoint: Checkpoint;
  readonly losses: readonly (readonly [step: number, loss: number])[];
}

/** `tesserae pretrain` up to so many steps: its losses on the way, and the checkpoint that it leaves. @param resume '': from the beginning */
export async function tinyRun(run: {
  readonly data_path: string;
  readonly output_dir: string;
  readonly resume: string;
  readonly max_steps: number;
  readonly seed?: number;
}): Promise<TinyRun> {
  const { resume, output_dir, seed } = run;
  const recipe = await recipeToResume(resume, output_dir);
  const flags = { ...run, pictures: 0, ...(resume ? { seed: undefined } : { ...TINY, seed }) };
  const options = parsePretrainOptions(flags, undefined, undefined, recipe);
  using device = await openDawn();
  using engine = new Engine(device, { precision: recipe.precision });
  const { checkpoint: path } = await pretrain(engine, options, silent);
  const log = join(output_dir, 'metrics.jsonl');
  const lines = existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [];
  const steps = lines.map((line) => JSON.parse(line)).filter(({ loss }) => loss !== undefined);
  return {
    path,
    bytes: readFileSync(path),
    checkpoint: await loadCheckpoint(path, { training: true }),
    losses: steps.map(({ step, loss }) => [step, loss] as const),
  };
}
