// From a checkpoint's contents to a graph and all that the file says about itself. Knows no files and nothing of Node: browsers export, too.
import type { ClassifierConfig } from '../model/classifier.ts';
import { type EncoderConfig, type MaeConfig, patchesOf } from '../model/config.ts';
import type { Graph } from './graph.ts';
import { classifierGraph, encoderGraph, maeGraph, type MaskInput } from './models.ts';
import type { ModelInfo } from './write.ts';

export { MASK_INPUTS, type MaskInput } from './models.ts';
export { type External, MOST_INLINE, type Sink, weightBytes, writeModel } from './write.ts';

type Weights = ReadonlyMap<string, Float32Array>;

/** What the model was trained on, as far as its user must repeat it. */
export interface Preprocessing {
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly classes?: readonly string[] | null;
}

/** A graph, and what is said of it in the file. */
export interface Exported {
  readonly graph: Graph;
  readonly info: ModelInfo;
}

/** Features of an image of which nothing is masked: last_hidden_state, cls, gap, patch_tokens. */
export function exportEncoder(config: EncoderConfig, weights: Weights, data: Preprocessing): Exported {
  const info = describe('encoder', 'feature-extraction', 'An image encoder; nothing is masked.', config, data);
  return { graph: encoderGraph(config, weights), info };
}

/** logits of a fine-tuned classifier or of a linear probe. */
export function exportClassifier(config: ClassifierConfig, weights: Weights, data: Preprocessing): Exported {
  const info = describe('classifier', 'image-classification', 'An image classifier.', config, data, {
    id2label: JSON.stringify(Object.fromEntries((data.classes ?? []).map((name, i) => [i, name]))),
  });
  return { graph: classifierGraph(config, weights), info };
}

/** The whole autoencoder: logits, mask, reconstruction. `maskRatio` decides with noise how many patches stay; ids say so themselves. */
export function exportMae(
  config: MaeConfig,
  weights: Weights,
  data: Preprocessing,
  { masks, maskRatio }: { readonly masks: MaskInput; readonly maskRatio: number },
): Exported {
  const { norm_pix_loss, objective = 'mae' } = config;
  const what = `A masked autoencoder (${objective}); ${masks === 'ids' ? 'ids_keep and ids_restore say' : 'noise says'} what is removed.`;
  const info = describe('mae', 'masked-image-modeling', what, config, data, {
    norm_pix_loss: String(norm_pix_loss),
    ...(masks === 'noise' ? { mask_ratio: String(maskRatio) } : {}),
  });
  return { graph: maeGraph(config, weights, masks, maskRatio), info };
}

function describe(
  name: string,
  task: string,
  description: string,
  config: EncoderConfig,
  { mean, std }: Preprocessing,
  besides: Readonly<Record<string, string>> = {},
): ModelInfo {
  const [height, width] = config.img_size;
  const metadata = {
    task,
    preprocessing: `centre crop of ratio ${height}:${width}, bicubic to ${height} x ${width} (height x width), times rescale_factor, minus image_mean, by image_std`,
    image_size: JSON.stringify([height, width]),
    image_mean: JSON.stringify(mean),
    image_std: JSON.stringify(std),
    rescale_factor: String(1 / 255),
    num_channels: String(config.in_chans),
    patch_size: String(config.patch_size),
    num_patches: String(patchesOf(config)),
    ...besides,
    config: JSON.stringify(config),
  };
  return { name, description, metadata };
}
