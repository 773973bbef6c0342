// Checkpoints: one safetensors file with weights under the reference's names, the optimizer's state, and what every later
// command must know (sizes, target, normalisation, classes), so that nobody has to say it again.
import { writeFileAtomic } from '../../engine/node/files.ts';
import type { KnobValues } from '../../kernels/kernel.ts';
import type { DamageCount } from '../data/damage.ts';
import type { MaeConfig } from '../model/config.ts';
import { openPlace } from '../weights/node.ts';
import { type LoadOptions, readAutoencoder, readTraining } from '../weights/own.ts';
import { encodeCheckpoint } from './encodemodel.ts';
import type { OptimizerState, Task } from './modelfile.ts';
import type { PlateauState } from './schedule.ts';

/** What the model was trained on. */
export interface DataInfo {
  readonly name: string;
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly classes: readonly string[] | null;
}

/** Where a training run stands; everything that it needs to go on bit for bit. */
export interface TrainingState {
  /** Flags of the run that change its numbers, and its precision; a resumed run must have the same. */
  readonly recipe: Readonly<Record<string, unknown>>;
  /** Images of the training set: with others the order of samples would be another. */
  readonly images: number;
  readonly epoch: number;
  /** Optimizer steps done in this epoch. */
  readonly step: number;
  /** Of this epoch so far: sum over steps of the loss, of a short one by its part of a full one. */
  readonly lossSum: number;
  /** Of this epoch so far: images of steps that were left out because their numbers were not finite. */
  readonly left?: number;
  /** Bytes of each log that belong to this state. */
  readonly logs: Readonly<Record<string, number>>;
  /** Numbered checkpoints of this run, oldest first; absent in files of before they could rotate. */
  readonly numbered?: readonly string[];
  /** What it ran on: other adapters go on too, but not bit for bit. */
  readonly adapter: string;
  /** Where the plateau schedule stands; absent in files of before there was one. */
  readonly plateau?: PlateauState;
  /** Of the next epoch, where the ratio follows the loss. */
  readonly mask_ratio?: number;
  /** The best evaluation so far, by which checkpoint-best was chosen. */
  readonly best?: number | null;
  /** Images read so far, and how many of them were damaged; absent in files of before they were counted. */
  readonly damage?: DamageCount;
  /** Most images of a micro-batch, as the run was cut; absent in files of before passes were cut, which were whole. */
  readonly micro_batch?: number;
  /** Measured settings that its plans were made with, by shape class. */
  readonly picks: Readonly<Record<string, KnobValues>>;
}

/** An autoencoder as a run keeps it, with all that it takes to go on where it stands. */
export interface Checkpoint {
  readonly config: MaeConfig;
  readonly weights: ReadonlyMap<string, Float32Array>;
  readonly data: DataInfo;
  /** mask_ratio of the training run: what later commands use unless told otherwise. */
  readonly maskRatio: number;
  readonly optimizer: OptimizerState | null;
  readonly training: TrainingState | null;
}

/** Writes the file whole or not at all. */
export const saveCheckpoint = (path: string, checkpoint: Checkpoint): Promise<void> =>
  writeFileAtomic(path, encodeCheckpoint(checkpoint));

/**
 * Reads an autoencoder of any format that mae/weights knows, from a file, a folder, an address or the hub; without `training` the optimizer's
 * state is left where it is. Those of other projects have none.
 */
export async function loadCheckpoint(path: string, options: LoadOptions = {}): Promise<Checkpoint> {
  await using place = await openPlace(path, options.progress);
  return await readAutoencoder(place, options);
}

/** Where the run that wrote a checkpoint stands: read without its weights. */
export async function loadStanding(path: string, task: Task): Promise<Pick<Checkpoint, 'training'>> {
  await using place = await openPlace(path);
  return { training: await readTraining(place, task) };
}
