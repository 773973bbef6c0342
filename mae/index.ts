// The model's public surface: sizes, the autoencoder, checkpoints and pretraining.
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
export { initialWeights } from './model/init.ts';
export { MaskedAutoencoder, type MaeOutput } from './model/model.ts';
export { interpolatePositions, sinCosPositions } from './model/posembed.ts';
