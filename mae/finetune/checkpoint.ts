// Files of classifiers: those that fine-tuning trains, and linear probes put on their encoder.
import type { ClassifierConfig } from '../model/classifier.ts';
import { classifierSpecs } from '../model/classifier.ts';
import type { Choice } from '../evaluate/kinds.ts';
import type { ProbeHead } from '../evaluate/linprobe.ts';
import { rawTensor } from '../../engine/rawtensor.ts';
import type { DataInfo, TrainingState } from '../train/checkpoint.ts';
import { misuse } from '../usage.ts';
import type { OptimizerState } from '../train/modelfile.ts';
import { writeModel } from '../train/savemodel.ts';
import type { LoadedEncoder } from '../weights/loaded.ts';
import { openPlace } from '../weights/node.ts';
import { type LoadOptions, readClassifier } from '../weights/own.ts';
import { foldedHead } from '../weights/probe.ts';

export interface ClassifierCheckpoint {
  readonly config: ClassifierConfig;
  readonly weights: ReadonlyMap<string, Float32Array>;
  /** Averages of the weights; null where none were kept. */
  readonly averages: ReadonlyMap<string, Float32Array> | null;
  /** Its classes are those that the head tells apart, in order. */
  readonly data: DataInfo & { readonly classes: readonly string[] };
  readonly optimizer: OptimizerState | null;
  readonly training: TrainingState | null;
}

export async function saveClassifier(path: string, c: ClassifierCheckpoint): Promise<void> {
  await writeModel(path, { specs: classifierSpecs(c.config), ...c }, 'classify', {
    config: c.config,
    data: c.data,
    training: c.training,
  });
}

/** Reads a classifier of any format that mae/weights knows; without `training` the optimizer's state is left where it is. */
export async function loadClassifier(path: string, options: LoadOptions = {}): Promise<ClassifierCheckpoint> {
  await using place = await openPlace(path, options.progress);
  return await readClassifier(place, options);
}

/** Its own weights, or with `ema` the averaged ones. */
export function weightsOf(c: ClassifierCheckpoint, path: string, ema: boolean): ReadonlyMap<string, Float32Array> {
  if (!ema) return c.weights;
  return c.averages ?? misuse(`--ema: ${path} holds no averaged weights; finetune --ema DECAY keeps them`);
}

/**
 * A linear probe as a classifier, its batch norm in the head. The probe's own tensors are kept beside it under the reference's names (head.0.*, head.1.*).
 */
export async function saveProbe(
  path: string,
  {
    config: { img_size, patch_size, in_chans, embed_dim, depth, num_heads, mlp_ratio, ln_eps, pos_embed },
    weights,
    data,
  }: Pick<LoadedEncoder, 'config' | 'weights' | 'data'>,
  classes: readonly string[],
  choice: Exclude<Choice, 'both'>,
  head: ProbeHead,
): Promise<void> {
  const get = (name: string): Float32Array => head.get(name) as Float32Array;
  const { weight, bias } = foldedHead(get);
  const K = classes.length;
  const D = embed_dim;
  const sizes = {
    img_size,
    patch_size,
    in_chans,
    embed_dim,
    depth,
    num_heads,
    mlp_ratio,
    ln_eps,
    pos_embed,
    dropout: 0,
  };
  const config: ClassifierConfig = { ...sizes, nb_classes: K, drop_path: 0, pool: choice === 'cls' ? 'cls' : 'normed' };
  const folded = new Map([...weights, ['head.weight', weight], ['head.bias', bias]] as [string, Float32Array][]);
  const shapes: Record<string, number[]> = { 'head.1.weight': [K, D], 'head.1.bias': [K] };
  const besides = [...head].map(([name, values]) => [name, rawTensor('F32', shapes[name] ?? [D], values)] as const);
  const specs = classifierSpecs(config);
  await writeModel(path, { specs, weights: folded, optimizer: null, besides }, 'classify', {
    config,
    data: { ...data, classes },
  });
}
