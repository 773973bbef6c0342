// All of the model that runs in browsers: it, its masks, data from bytes on, the training step, reconstructions and their picture.
// No module of Node is reached from here, and of packages only those that read weights of other projects, which `npm run check` holds.
export * from './index.ts';
export {
  attend,
  attentionProgram,
  type AttentionOptions,
  type ImageAttention,
  type LayerAttention,
} from './attention.ts';
export { bitmaps, type BitmapOptions } from './data/bitmaps.ts';
export { type Dataset, IMAGENET_MEAN, IMAGENET_STD, type Sample } from './data/dataset.ts';
export { type Batch, batchCount, loadBatches, type LoaderOptions } from './data/loader.ts';
export {
  centrePlaces,
  epochOrder,
  evalPlaces,
  evaluationPlaces,
  type Place,
  PRETRAIN_CROP,
  randomPlaces,
  weakPlaces,
} from './data/sampler.ts';
export { STREAM } from './data/streams.ts';
export {
  type ChosenMask,
  complementary,
  listed,
  noiseFor,
  painted,
  PATTERNS,
  type Rectangle,
  removing,
  underRectangles,
} from './model/chosen-masks.ts';
export { type Extracted, Extractor, type ExtractorOptions } from './evaluate/extract.ts';
export { guidedNoise } from './model/guided.ts';
export { type DrawnMask, MASKS, maskNoise, type MaskKey, noiseOf } from './model/masks.ts';
export { attentionGrid, type AttentionBlock, type GridOptions, type NamedMap } from './pictures/attention-grid.ts';
export { columnsOf, coveredColumnsOf, coveredStrip, panel, type Scored, strip, tiles } from './pictures/panel.ts';
export type { Picture } from './render/picture.ts';
export { type Group, sheet, type SheetOptions, type Strip } from './pictures/sheet.ts';
export {
  type Pass,
  type Passes,
  Rebuilder,
  rebuild,
  reconstruct,
  type Reconstruction,
  type ReconstructOptions,
} from './reconstruct.ts';
export { headMean, onPatches, rolloutOf } from './render/attention.ts';
export { heat } from './render/colours.ts';
export { patchAt, spread } from './render/patches.ts';
export { type Quality, qualityOf } from './render/quality.ts';
export {
  coveredPixels,
  errorMap,
  pasted,
  pixelsOf,
  type Prediction,
  type Rebuilt,
  rebuiltPixels,
  renderingsOf,
  type View,
} from './render/rebuilt.ts';
export { type Statistics, STATISTICS_LABEL } from './render/statistics.ts';
export { framed, heatTile, maskedTile, overlayTile, tileOf, WORST_ERROR } from './render/tiles.ts';
export { Heldout, type HeldoutOptions } from './train/heldout.ts';
export { layerGroups, makeOptimizer, type OptimizerChoice } from './train/optimizer.ts';
export { Preparer } from './train/prepare.ts';
export { learningRate, plateau, scaledRate, type Schedule } from './train/schedule.ts';
export { pretrainStep, STEP_INPUTS, type StepInputs, type StepOptions } from './train/step.ts';
