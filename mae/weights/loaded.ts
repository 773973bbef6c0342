// What a file of weights turned out to be: an autoencoder, an encoder or a classifier, with everything that was found, missed and left out.
import type { ClassifierConfig } from '../model/classifier.ts';
import type { EncoderConfig, MaeConfig } from '../model/config.ts';
import type { DataInfo } from '../train/checkpoint.ts';

export type Format = 'tesserae' | 'facebookresearch/mae' | 'Hugging Face' | 'timm';

/** For people: what the file said, and what it did not. */
export interface Report {
  readonly format: Format;
  /** safetensors, PyTorch zip archive, … */
  readonly container: string;
  /** Values in the weights that were taken; fixed positions do not count. */
  readonly parameters: number;
  /** Weights that a whole model has and this file has not. Nothing stands for them: what needs them says so. */
  readonly missing: readonly string[];
  /** Tensors that were left out, by their names in the file. */
  readonly unexpected: readonly string[];
  /** Other parts of the file that were not read: optimizer, scaler, … */
  readonly besides: readonly string[];
  /** What was changed or taken for granted. */
  readonly notes: readonly string[];
}

interface Common {
  /** As messages call it. */
  readonly name: string;
  /** By facebookresearch/mae's names, in the order of its state dict. */
  readonly weights: ReadonlyMap<string, Float32Array>;
  readonly report: Report;
}

/** An autoencoder with all of its weights. */
export interface LoadedAutoencoder extends Common {
  readonly kind: 'autoencoder';
  readonly config: MaeConfig;
  readonly data: DataInfo;
  readonly maskRatio: number;
  /** What it predicts; null where the file does not say, and the config's norm_pix_loss is a guess. */
  readonly target: 'pixels' | 'normalised pixels' | null;
}

/** An encoder; its final norm may be missing, as fine-tuning leaves it. */
export interface LoadedEncoder extends Common {
  readonly kind: 'encoder';
  readonly config: EncoderConfig;
  readonly data: DataInfo;
  readonly maskRatio: number;
}

/** A classifier, with the names of its classes. */
export interface LoadedClassifier extends Common {
  readonly kind: 'classifier';
  readonly config: ClassifierConfig;
  readonly data: DataInfo & { readonly classes: readonly string[] };
  readonly maskRatio: number;
}

/** `kind` tells which. */
export type Loaded = LoadedAutoencoder | LoadedEncoder | LoadedClassifier;
