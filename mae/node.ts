// What only Node has of the model: data sets on disk or by name, checkpoints of training runs, and PNG files.
export { type Data, openData } from './data/open.ts';
export { hasSplit, imageFiles, imageFolder } from './data/imagefolder.ts';
export { encodePng, writePng } from './pictures/png.ts';
export {
  type Checkpoint,
  type DataInfo,
  loadCheckpoint,
  saveCheckpoint,
  type TrainingState,
} from './train/checkpoint.ts';
