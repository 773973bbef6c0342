// Weights for those who need an autoencoder, an encoder or a classifier: of our own files with all that training left there, or of others'.
import { fail } from '../../engine/errors.ts';
import type { ParameterSpec } from '../../engine/parameters.ts';
import type { ClassifierCheckpoint } from '../finetune/checkpoint.ts';
import { checkedClassifier, type ClassifierConfig, classifierSpecs } from '../model/classifier.ts';
import {
  checked,
  checkedEncoder,
  type EncoderConfig,
  encoderSpecs,
  type MaeConfig,
  parameterSpecs,
} from '../model/config.ts';
import { parameterCount } from '../model/parameter-count.ts';
import type { Checkpoint, DataInfo, TrainingState } from '../train/checkpoint.ts';
import { kindText, ModelFile, TASK_OF, type Task } from '../train/modelfile.ts';
import type { Loaded, LoadedEncoder, Report } from './loaded.ts';
import type { Place } from './place.ts';
import { containerOf, readWeights, weightsOf } from './read.ts';
import { type Hints, refuseOther } from './sizes.ts';
import type { ReadOptions } from './take.ts';
import { named } from './tensorfile.ts';

export interface LoadOptions extends Pick<ReadOptions, 'progress'> {
  /** The optimizer's state, too. */
  readonly training?: boolean;
}

/** A file of ours; null where the place holds weights of others. */
export async function ownFile(place: Place): Promise<ModelFile | null> {
  const source = await weightsOf(place);
  return (await containerOf(source)) === 'safetensors' ? ModelFile.of(source) : null;
}

/** @throws where the place holds no autoencoder */
export async function readAutoencoder(
  place: Place,
  { training = false, progress }: LoadOptions = {},
): Promise<Checkpoint> {
  const file = await ownFile(place);
  if (file) {
    file.demand('pretrain');
    const config = file.config<MaeConfig>(checked);
    const specs = parameterSpecs(config);
    return {
      config,
      weights: await file.weights(specs, progress),
      data: file.json<DataInfo>('data'),
      maskRatio: Number(file.text('mask_ratio')),
      optimizer: training ? await file.optimizer(specs) : null,
      training: trainingOf(file),
    };
  }
  const loaded = await readWeights(place, { progress });
  if (loaded.kind !== 'autoencoder') return otherKind(place, loaded);
  const { config, weights, data, maskRatio } = loaded;
  return { config, weights, data, maskRatio, optimizer: null, training: null };
}

/** @throws where the place holds no classifier */
export async function readClassifier(
  place: Place,
  { training = false, progress }: LoadOptions = {},
): Promise<ClassifierCheckpoint> {
  const file = await ownFile(place);
  if (file) {
    file.demand('classify');
    const config = file.config<ClassifierConfig>(checkedClassifier);
    const specs = classifierSpecs(config);
    return {
      config,
      weights: await file.weights(specs, progress),
      averages: await file.averages(specs),
      data: file.json('data'),
      optimizer: training ? await file.optimizer(specs) : null,
      training: trainingOf(file),
    };
  }
  const loaded = await readWeights(place, { progress });
  if (loaded.kind !== 'classifier') return otherKind(place, loaded);
  const { config, weights, data } = loaded;
  return { config, weights, data, averages: null, optimizer: null, training: null };
}

const otherKind = (place: Place, { kind }: Loaded): never =>
  fail(`load: ${place.name} holds ${kindText(TASK_OF[kind])}`);

export interface EncoderCheckpoint extends LoadedEncoder {
  /** Of a run of ours. */
  readonly training: TrainingState | null;
}

/** The encoder of whatever the place holds: of an autoencoder, of a classifier, or alone. A fine-tuned one may lack the final norm. */
export async function readEncoder(place: Place, options: Omit<ReadOptions, 'only'> = {}): Promise<EncoderCheckpoint> {
  const file = await ownFile(place);
  const loaded = await readAny(place, { ...options, only: 'encoder' });
  if (loaded.kind !== 'encoder') return otherKind(place, loaded);
  return { ...loaded, training: file && trainingOf(file) };
}

/** The target of a file that was made from one that did not say. */
export const UNSAID = 'not said';

/** Whatever a place holds, ours or others'. */
export async function readAny(place: Place, options: ReadOptions = {}): Promise<Loaded> {
  const file = await ownFile(place);
  if (!file) return readWeights(place, options);
  const { only, sizesOnly, progress } = options;
  const unsaid = file.has('target') && file.text('target') === UNSAID;
  const sizes = <C extends EncoderConfig>(check: (config: C) => C): C => {
    const config = file.config(check);
    const { norm_pix_loss, ...said } = config as Hints;
    named(place, () => refuseOther(unsaid ? said : { ...said, norm_pix_loss }, options));
    return config;
  };
  const read = async (specs: readonly ParameterSpec[]) => {
    const there = specs.filter(({ name }) => file.holds(name) || !name.startsWith('norm.'));
    const weights = sizesOnly ? new Map<string, Float32Array>() : await file.weights(there, progress);
    return { ...own(place, file), weights, report: reportOf(file, there) };
  };
  if (only || file.task === 'encode') {
    const config = sizes(checkedEncoder);
    return { kind: 'encoder', config, ...(await read(encoderSpecs(config))) };
  }
  if (file.task === 'classify') {
    const config = sizes(checkedClassifier);
    return { kind: 'classifier', config, ...(await read(classifierSpecs(config))), data: file.json('data') };
  }
  const found = sizes(checked);
  const config = { ...found, norm_pix_loss: options.norm_pix_loss ?? found.norm_pix_loss };
  const target =
    unsaid && options.norm_pix_loss === undefined ? null : config.norm_pix_loss ? 'normalised pixels' : 'pixels';
  return { kind: 'autoencoder', config, target, ...(await read(parameterSpecs(config))) };
}

function own(place: Place, file: ModelFile) {
  const maskRatio = file.has('mask_ratio') ? Number(file.text('mask_ratio')) : 0.75;
  return { name: place.name, data: file.json<DataInfo>('data'), maskRatio };
}

const reportOf = (file: ModelFile, specs: readonly ParameterSpec[]): Report => ({
  format: 'tesserae',
  container: 'safetensors',
  parameters: parameterCount(specs),
  missing: [],
  unexpected: [],
  besides: file.has('training') ? ["the optimizer's state"] : [],
  notes: [],
});

/**
 * Files of before there were picks were trained with none; of before the precision was noted: only f16 has a loss scale; of before leftovers
 * were used: without them.
 */
function trainingOf(file: ModelFile): TrainingState | null {
  if (!file.has('training')) return null;
  const written = file.json<Omit<TrainingState, 'picks'> & Partial<TrainingState>>('training');
  const { precision, drop_last = true } = written.recipe;
  const recipe = { ...written.recipe, precision: precision ?? (file.scaled ? 'f16' : 'f32'), drop_last };
  return { picks: {}, ...written, recipe };
}

/** Where a run of ours stands, without its weights; null where the file is another's, or holds none. */
export async function readTraining(place: Place, task: Task): Promise<TrainingState | null> {
  const file = await ownFile(place);
  file?.demand(task);
  return file && trainingOf(file);
}
