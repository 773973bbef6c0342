// Weights for those who need an autoencoder, an encoder or a classifier: of our own files with all that training left there, or of others'.
import { fail } from '../../engine/errors.ts';
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
import type { Checkpoint, DataInfo, TrainingState } from '../train/checkpoint.ts';
import { kindText, ModelFile, TASK_OF, type Task } from '../train/modelfile.ts';
import type { Loaded, LoadedEncoder, Report } from './loaded.ts';
import type { Place } from './place.ts';
import { type ReadOptions, readWeights, weightsOf } from './read.ts';
import { isTorch } from './torch.ts';

/** A file of ours; null where the place holds weights of others. */
export async function ownFile(place: Place): Promise<ModelFile | null> {
  const source = await weightsOf(place);
  const head = await source.read(0, Math.min(16, source.size));
  return isTorch(head) || head[0] === 0x7b ? null : ModelFile.of(source);
}

/** @throws where the place holds no autoencoder */
export async function readAutoencoder(place: Place, { training = false } = {}): Promise<Checkpoint> {
  const file = await ownFile(place);
  if (file) {
    file.demand('pretrain');
    const config = file.config<MaeConfig>(checked);
    const specs = parameterSpecs(config);
    return {
      config,
      weights: await file.weights(specs),
      data: file.json<DataInfo>('data'),
      maskRatio: Number(file.text('mask_ratio')),
      optimizer: training ? await file.optimizer(specs) : null,
      training: trainingOf(file),
    };
  }
  const loaded = await readWeights(place);
  if (loaded.kind !== 'autoencoder') return otherKind(place, loaded);
  const { config, weights, data, maskRatio } = loaded;
  return { config, weights, data, maskRatio, optimizer: null, training: null };
}

/** @throws where the place holds no classifier */
export async function readClassifier(place: Place, { training = false } = {}): Promise<ClassifierCheckpoint> {
  const file = await ownFile(place);
  if (file) {
    file.demand('classify');
    const config = file.config<ClassifierConfig>(checkedClassifier);
    const specs = classifierSpecs(config);
    return {
      config,
      weights: await file.weights(specs),
      averages: await file.averages(specs),
      data: file.json('data'),
      optimizer: training ? await file.optimizer(specs) : null,
      training: trainingOf(file),
    };
  }
  const loaded = await readWeights(place);
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
  if (!file) {
    const loaded = await readWeights(place, { ...options, only: 'encoder' });
    return loaded.kind === 'encoder' ? { ...loaded, training: null } : otherKind(place, loaded);
  }
  const config = file.config<EncoderConfig>(file.task === 'pretrain' ? (c) => checked(c as MaeConfig) : checkedEncoder);
  const specs = encoderSpecs(config).filter(({ name }) => file.holds(name) || !name.startsWith('norm.'));
  const weights = await file.weights(specs);
  return { ...own(place, file, weights), kind: 'encoder', config, training: trainingOf(file) };
}

/** Whatever a place holds, ours or others'. */
export async function readAny(place: Place, options: ReadOptions = {}): Promise<Loaded> {
  const file = await ownFile(place);
  if (!file) return readWeights(place, options);
  if (options.only || file.task === 'encode') return readEncoder(place, options);
  if (file.task === 'classify') {
    const { config, weights, data } = await readClassifier(place);
    return { ...own(place, file, weights), kind: 'classifier', config, data };
  }
  const { config, weights, maskRatio } = await readAutoencoder(place);
  const target = config.norm_pix_loss ? 'normalised pixels' : 'pixels';
  return { ...own(place, file, weights), kind: 'autoencoder', config, maskRatio, target };
}

function own(place: Place, file: ModelFile, weights: ReadonlyMap<string, Float32Array>) {
  const parameters = [...weights.values()].reduce((sum, { length }) => sum + length, 0);
  const besides = file.has('training') ? ["the optimizer's state"] : [];
  const report: Report = {
    format: 'tesserae',
    container: 'safetensors',
    parameters,
    missing: [],
    unexpected: [],
    besides,
    notes: [],
  };
  const maskRatio = file.has('mask_ratio') ? Number(file.text('mask_ratio')) : 0.75;
  return { name: place.name, weights, report, data: file.json<DataInfo>('data'), maskRatio };
}

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
