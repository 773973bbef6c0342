// `tesserae`: engine and model under one name. Kernels by name are in `tesserae/kernels`.
export * from '../engine/index.ts';
export * from './browser.ts';
// Of a training step, as the engine's Trainer takes it; images on their way from a data set have the name in `tesserae/mae`.
export type { Batch } from '../engine/index.ts';
