// Checkpoints: one safetensors file with weights under the reference's names, the optimizer's state, and what every later
// command must know (sizes, target, normalisation, classes), so that nobody has to say it again.
import { fail } from '../../engine/errors.ts';
import { openSafetensorsFile, writeFileAtomic } from '../../engine/node/files.ts';
import { type RawTensor, rawTensor, toFloat32, viewAs } from '../../engine/rawtensor.ts';
import { readHeader, readTensor, writeSafetensors } from '../../engine/safetensors.ts';
import type { KnobValues } from '../../kernels/kernel.ts';
import { checked, type MaeConfig, parameterSpecs } from '../model/config.ts';

/** Raised when a file of this version could not be read by the one before. */
export const FORMAT = 1;

/** What every optimizer keeps per parameter. */
const SLOTS: Readonly<Record<string, readonly string[]>> = { adamw: ['m', 'v'], sgd: ['momentum'], lars: ['momentum'] };

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
  /** Of this epoch so far: sum over steps of the loss. */
  readonly lossSum: number;
  /** Bytes of each log that belong to this state. */
  readonly logs: Readonly<Record<string, number>>;
  /** What it ran on: other adapters go on too, but not bit for bit. */
  readonly adapter: string;
  /** Measured settings that its plans were made with, by shape class. */
  readonly picks: Readonly<Record<string, KnobValues>>;
}

export interface OptimizerState {
  /** adamw, sgd or lars. */
  readonly name: string;
  /** What it keeps per parameter (moments, momentum), by slot and parameter. */
  readonly slots: Readonly<Record<string, ReadonlyMap<string, Float32Array>>>;
  /** Updates done. */
  readonly step: number;
  /** Of a run in f16. */
  readonly lossScale: LossScaleState | null;
}

export interface LossScaleState {
  readonly scale: number;
  /** Steps since it last changed. */
  readonly good: number;
  /** Steps that overflowed and were skipped. */
  readonly skipped: number;
}

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
export async function saveCheckpoint(path: string, c: Checkpoint): Promise<void> {
  const tensors: [string, RawTensor][] = [];
  for (const { name, shape } of parameterSpecs(c.config)) {
    tensors.push([name, rawTensor('F32', shape, c.weights.get(name) ?? fail(`save: the weights lack ${name}`))]);
    for (const [slot, values] of Object.entries(c.optimizer?.slots ?? {})) {
      const data = values.get(name);
      if (data) tensors.push([`${c.optimizer?.name}.${slot}.${name}`, rawTensor('F32', shape, data)]);
    }
  }
  if (c.optimizer) tensors.push([`${c.optimizer.name}.step`, rawTensor('U32', [1], Uint32Array.of(c.optimizer.step))]);
  if (c.optimizer?.lossScale) {
    const { scale, good, skipped } = c.optimizer.lossScale;
    tensors.push(['lossscale.scale', rawTensor('F32', [1], Float32Array.of(scale))]);
    tensors.push(['lossscale.steps', rawTensor('U32', [2], Uint32Array.of(good, skipped))]);
  }
  const metadata: Record<string, string> = {
    format: 'pt',
    tesserae: String(FORMAT),
    config: JSON.stringify(c.config),
    data: JSON.stringify(c.data),
    target: c.config.norm_pix_loss ? 'normalised pixels' : 'pixels',
    mask_ratio: String(c.maskRatio),
  };
  if (c.training) metadata.training = JSON.stringify(c.training);
  await writeFileAtomic(path, writeSafetensors(tensors, metadata));
}

/** Reads a checkpoint; without `training` the optimizer's state is left on the disk. */
export async function loadCheckpoint(path: string, { training = false } = {}): Promise<Checkpoint> {
  await using file = await openSafetensorsFile(path);
  const header = await readHeader(file, { requireChecksums: true });
  const meta = (key: string): string =>
    header.metadata.get(key) ??
    fail(`load: ${path} is a safetensors file but no Tesserae checkpoint (its metadata has no ${key})`);
  const version = Number(meta('tesserae'));
  if (!(version <= FORMAT))
    fail(`load: ${path} has format ${meta('tesserae')}, this version reads up to ${FORMAT}; update Tesserae`);
  const json = <T>(key: string): T => {
    try {
      return JSON.parse(meta(key)) as T;
    } catch {
      return fail(`load: ${path}: its metadata's ${key} is damaged`);
    }
  };
  const config = checked(json<MaeConfig>('config'));
  const read = async (name: string): Promise<RawTensor | null> => {
    const info = header.tensors.get(name);
    return info ? readTensor(file, info) : null;
  };
  const specs = parameterSpecs(config);
  const floats = async (prefix: string): Promise<Map<string, Float32Array>> => {
    const found = new Map<string, Float32Array>();
    for (const { name, shape } of specs) {
      const tensor = await read(prefix + name);
      if (!tensor) continue;
      if (String(tensor.shape) !== String(shape))
        fail(`load: ${path}: ${prefix}${name} is (${tensor.shape}), the model needs (${shape})`);
      found.set(name, toFloat32(tensor));
    }
    return found;
  };
  const weights = await floats('');
  const absent = specs.filter(({ name }) => !weights.has(name));
  if (absent.length) fail(`load: ${path} lacks ${absent.length} weights, first ${absent[0].name}`);
  const kind = Object.keys(SLOTS).find((name) => header.tensors.has(`${name}.step`));
  const step = training && kind ? await read(`${kind}.step`) : null;
  const scale = step && (await read('lossscale.scale'));
  const steps = step && (await read('lossscale.steps'));
  const counts = steps && viewAs(steps, 'U32');
  const lossScale = scale && counts && { scale: toFloat32(scale)[0], good: counts[0], skipped: counts[1] };
  const slots: Record<string, Map<string, Float32Array>> = {};
  if (step && kind) for (const slot of SLOTS[kind]) slots[slot] = await floats(`${kind}.${slot}.`);
  const optimizer = step && kind ? { name: kind, slots, step: viewAs(step, 'U32')[0], lossScale } : null;
  return {
    config,
    weights,
    data: json<DataInfo>('data'),
    maskRatio: Number(meta('mask_ratio')),
    optimizer,
    training: header.metadata.has('training') ? stateOf(json('training'), header.tensors.has('lossscale.scale')) : null,
  };
}

/** Files of before there were picks were trained with none; of before the precision was noted: only f16 has a loss scale. */
function stateOf(written: Omit<TrainingState, 'picks'> & Partial<TrainingState>, scaled: boolean): TrainingState {
  const recipe = { ...written.recipe, precision: written.recipe.precision ?? (scaled ? 'f16' : 'f32') };
  return { picks: {}, ...written, recipe };
}
