// Going on from a checkpoint: which one, whether it fits the flags, and the optimizer's state in and out.
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from '../../engine/engine.ts';
import { fail } from '../../engine/errors.ts';
import type { AdamW } from '../../engine/optim/adamw.ts';
import { readVariables } from '../../engine/parameters.ts';
import type { Variable } from '../../engine/tensor.ts';
import type { Reporter } from './reporter.ts';
import { type Checkpoint, loadCheckpoint, type Moments } from './checkpoint.ts';
import { modelConfig, type PretrainOptions } from './options.ts';

/** The flags that decide a run's numbers, besides the model's sizes. */
export function recipeOf(o: PretrainOptions): Record<string, unknown> {
  const {
    seed,
    batch_size,
    accum_iter,
    mask_ratio,
    epochs,
    weight_decay,
    lr,
    blr,
    min_lr,
    warmup_epochs,
    clip_grad,
    data_path,
    heldout,
    train_images,
  } = o;
  return {
    seed,
    batch_size,
    accum_iter,
    mask_ratio,
    epochs,
    weight_decay,
    lr: lr ?? null,
    blr,
    min_lr,
    warmup_epochs,
    clip_grad: clip_grad ?? null,
    data_path,
    heldout,
    train_images: train_images ?? null,
  };
}

/** The checkpoint that --resume names, or with `auto` the one in the output folder if there is any. */
export async function findResume(
  engine: Engine,
  options: PretrainOptions,
  report: Reporter,
): Promise<Checkpoint | null> {
  if (!options.resume) return null;
  const path = options.resume === 'auto' ? join(options.output_dir, 'checkpoint.safetensors') : options.resume;
  if (
    options.resume === 'auto' &&
    !(await access(path).then(
      () => true,
      () => false,
    ))
  )
    return null;
  const found = await loadCheckpoint(path, { training: true });
  if (!found.training || !found.moments)
    fail(`resume: ${path} holds weights but no training state; start a new run without --resume`);
  if (JSON.stringify(found.config) !== JSON.stringify(modelConfig(options))) {
    fail(
      `resume: ${path} holds a model of other sizes than these flags ask for; leave out the size flags or choose another --output_dir`,
    );
  }
  for (const [flag, now] of Object.entries(recipeOf(options))) {
    const before = found.training.recipe[flag] ?? null;
    if (JSON.stringify(before) !== JSON.stringify(now)) {
      fail(
        `resume: --${flag} is ${now}, but ${path} was trained with ${before}; give the same, or choose another --output_dir`,
      );
    }
  }
  const adapter = `${engine.device.adapter.description} ${engine.device.traits.profile}`;
  if (found.training.adapter !== adapter) {
    report.note(
      `resuming on another adapter (${adapter}, before: ${found.training.adapter}): results will not be bit-identical`,
    );
  }
  report.note(`resuming from ${path}: epoch ${found.training.epoch}, step ${found.training.step}`);
  return found;
}

export async function optimizerMoments(engine: Engine, optimizer: AdamW): Promise<Moments> {
  const named = (mirror: ReadonlyMap<Variable, Variable>) =>
    new Map([...mirror].map(([p, moment]) => [p.name, moment]));
  return {
    m: await readVariables(engine, named(optimizer.m)),
    v: await readVariables(engine, named(optimizer.v)),
    step: (await engine.read(optimizer.step))[0],
  };
}

export function restoreMoments(engine: Engine, optimizer: AdamW, { moments }: Checkpoint): void {
  if (!moments) return;
  for (const kind of ['m', 'v'] as const) {
    for (const [parameter, moment] of optimizer[kind]) {
      engine.write(
        moment,
        moments[kind].get(parameter.name) ?? fail(`resume: the checkpoint lacks adamw.${kind}.${parameter.name}`),
      );
    }
  }
  engine.write(optimizer.step, Uint32Array.of(moments.step));
}
