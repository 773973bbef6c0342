// The model's public surface: sizes, models, and weights from anywhere. Loads in browsers.
export {
  configure,
  type EncoderConfig,
  lenKeep,
  type MaeConfig,
  patchesOf,
  PRESETS,
  parameterSpecs,
} from './model/config.ts';
export { Classifier, type ClassifierConfig, classifierWeights } from './model/classifier.ts';
export { VisionEncoder } from './model/encoder.ts';
export { initialWeights } from './model/init.ts';
export { MaskedAutoencoder, type MaeOutput } from './model/model.ts';
export { interpolatePositions, sinCosPositions } from './model/posembed.ts';
export { FEATURES, type Feature, featuresOf, tokensOf } from './model/features.ts';
export type { Loaded, LoadedAutoencoder, LoadedClassifier, LoadedEncoder, Report } from './weights/loaded.ts';
export type { ReadOptions } from './weights/take.ts';
export {
  fromPretrained,
  loadPretrained,
  type Pretrained,
  type PretrainedEncoder,
  type Where,
} from './weights/pretrained.ts';
