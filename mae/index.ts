// The model's public surface: sizes, the autoencoder, checkpoints and pretraining.
export { configure, lenKeep, type MaeConfig, patchesOf, PRESETS, parameterSpecs } from './model/config.ts';
export { initialWeights } from './model/init.ts';
export { MaskedAutoencoder, type MaeOutput } from './model/model.ts';
export { sinCosPositions } from './model/posembed.ts';
