// Files of classifiers: those that fine-tuning trains, and linear probes put on their encoder.
import type { ClassifierConfig } from '../model/classifier.ts';
import { checkedClassifier, classifierSpecs } from '../model/classifier.ts';
import type { Choice } from '../evaluate/kinds.ts';
import type { ProbeHead } from '../evaluate/linprobe.ts';
import { BATCH_NORM_EPS } from '../evaluate/linprobe.ts';
import { rawTensor } from '../../engine/rawtensor.ts';
import { type Checkpoint, type DataInfo, stateOf, type TrainingState } from '../train/checkpoint.ts';
import { misuse } from '../usage.ts';
import { ModelFile, type OptimizerState, writeModel } from '../train/modelfile.ts';

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

/** Without `training` the optimizer's state is left on the disk. */
export async function loadClassifier(path: string, { training = false } = {}): Promise<ClassifierCheckpoint> {
  await using file = await ModelFile.open(path, 'classify');
  const config = file.config<ClassifierConfig>(checkedClassifier);
  const specs = classifierSpecs(config);
  return {
    config,
    weights: await file.weights(specs),
    averages: await file.averages(specs),
    data: file.json('data'),
    optimizer: training ? await file.optimizer(specs) : null,
    training: file.has('training') ? stateOf(file.json('training'), file.scaled) : null,
  };
}

/** Its own weights, or with `ema` the averaged ones. */
export function weightsOf(c: ClassifierCheckpoint, path: string, ema: boolean): ReadonlyMap<string, Float32Array> {
  if (!ema) return c.weights;
  return c.averages ?? misuse(`--ema: ${path} holds no averaged weights; finetune --ema DECAY keeps them`);
}

/**
 * A linear probe as a classifier. Its batch norm is a fixed scaling once trained, and goes into the head: w' = w / sqrt(var + eps),
 * b' = b - w' mean. The probe's own tensors are kept beside it under the reference's names (head.0.*, head.1.*).
 */
export async function saveProbe(
  path: string,
  {
    config: { img_size, patch_size, in_chans, embed_dim, depth, num_heads, mlp_ratio, ln_eps, pos_embed },
    weights,
    data,
  }: Checkpoint,
  classes: readonly string[],
  choice: Exclude<Choice, 'both'>,
  head: ProbeHead,
): Promise<void> {
  const get = (name: string): Float32Array => head.get(name) as Float32Array;
  const [mean, variance] = [get('head.0.running_mean'), get('head.0.running_var')];
  const [w, b] = [get('head.1.weight'), get('head.1.bias')];
  const K = classes.length;
  const D = embed_dim;
  const weight = w.map((x, i) => x / Math.sqrt(variance[i % D] + BATCH_NORM_EPS));
  const bias = b.map((x, k) => x - weight.subarray(k * D, (k + 1) * D).reduce((sum, v, i) => sum + v * mean[i], 0));
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
