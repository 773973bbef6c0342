// All of the model that runs in browsers: it, its masks, data from bytes on, the training step, reconstructions and their picture.
// No module of Node is reached from here, and of packages only those that read weights of other projects, which `npm run check` holds.
export * from './index.ts';
export { type Dataset, IMAGENET_MEAN, IMAGENET_STD, type Sample } from './data/dataset.ts';
export { type Batch, batchCount, loadBatches, type LoaderOptions } from './data/loader.ts';
export { centrePlaces, epochOrder, evalPlaces, type Place, PRETRAIN_CROP, randomPlaces } from './data/sampler.ts';
export { STREAM } from './data/streams.ts';
export { guidedNoise } from './model/guided.ts';
export { type DrawnMask, MASKS, maskNoise, type MaskKey, noiseOf } from './model/masks.ts';
export { panel, type PanelOptions, type Rebuilt, tiles } from './pictures/panel.ts';
export type { Picture } from './pictures/picture.ts';
export { reconstruct, type Reconstruction, type ReconstructOptions } from './reconstruct.ts';
export { Heldout, type HeldoutOptions } from './train/heldout.ts';
export { layerGroups, makeOptimizer, type OptimizerChoice } from './train/optimizer.ts';
export { Preparer } from './train/prepare.ts';
export { learningRate, plateau, scaledRate, type Schedule } from './train/schedule.ts';
export { pretrainStep, STEP_INPUTS, type StepInputs, type StepOptions } from './train/step.ts';
