// Model files: safetensors with weights under the reference's names, the optimizer's state beside them, and metadata that says what it is.
// Reading them needs no Node.
import { fail, TesseraeError } from '../../engine/errors.ts';
import type { ParameterSpec } from '../../engine/parameters.ts';
import { type RawTensor, toFloat32, viewAs } from '../../engine/rawtensor.ts';
import { numel } from '../../engine/tensor.ts';
import { type ByteSource, readHeader, readTensor, type SafetensorsHeader } from '../../engine/safetensors.ts';
import type { EncoderConfig } from '../model/config.ts';
import { VERSION } from '../version.ts';

/** Raised when a file of this version could not be read by the one before. */
export const FORMAT = 1;

/** What a file's model was made for; files of before there was a second kind do not say. */
export type Task = 'pretrain' | 'classify' | 'encode';
/** By the kind of model. */
export const TASK_OF = { autoencoder: 'pretrain', encoder: 'encode', classifier: 'classify' } as const;
const COMMANDS: Readonly<Record<Task, string>> = {
  pretrain:
    'a masked autoencoder: reconstruct, attention, linprobe, knn, features, finetune, onnx and pretrain --resume take it',
  classify: 'a classifier: eval, classify, attention, onnx and finetune --resume take it',
  encode:
    'an encoder without decoder or head: attention, linprobe, knn, features, finetune, onnx and pretrain --init take it',
};

/** What a file is, as an error tells a user who wanted another kind. */
export const kindText = (task: string): string =>
  COMMANDS[task as Task] ?? `a model for ${task}, which this version does not know`;

/** What every optimizer keeps per parameter. */
const SLOTS: Readonly<Record<string, readonly string[]>> = { adamw: ['m', 'v'], sgd: ['momentum'], lars: ['momentum'] };

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

/** Told the part of the weights that has been read, and what is being read. */
export type ReadProgress = (fraction: number, what: string) => void;

/** Values that are read in no time: nobody is told. */
const FEW = 3e7;

/** Tells `progress` how many of `total` values have been read, unless these are few. */
export function tellRead(progress: ReadProgress | undefined, done: number, total: number): void {
  if (total > FEW) progress?.(done / total, `reading ${(total / 1e6).toFixed(0)} M weights`);
}

/** A model file of ours that may be read from; every error names it. */
export class ModelFile {
  readonly #path: string;
  readonly #source: ByteSource;
  readonly #header: SafetensorsHeader;

  private constructor(source: ByteSource, header: SafetensorsHeader) {
    this.#path = source.name ?? 'the given bytes';
    this.#source = source;
    this.#header = header;
  }

  /** Null where the file is a safetensors file of others. @throws where it is damaged, or of a later version */
  static async of(source: ByteSource): Promise<ModelFile | null> {
    if (!(await readHeader(source)).metadata.has('tesserae')) return null;
    const file = new ModelFile(source, await readHeader(source, { requireChecksums: true }));
    const version = Number(file.text('tesserae'));
    if (!(version <= FORMAT)) {
      const maker = file.#header.metadata.get('made_by');
      const by = maker ? `made by Tesserae ${maker}, this is ${VERSION}: ` : '';
      const said = file.text('tesserae');
      fail(`load: ${file.#path}: ${by}format ${said}, this version reads up to ${FORMAT}; update Tesserae`);
    }
    return file;
  }

  get task(): Task {
    return (this.#header.metadata.get('task') ?? 'pretrain') as Task;
  }

  /** @throws where the model was made for something else */
  demand(task: Task): void {
    if (this.task !== task) fail(`load: ${this.#path} holds ${kindText(this.task)}`);
  }

  /** Whether the metadata has a value of this name. */
  has(key: string): boolean {
    return this.#header.metadata.has(key);
  }

  /** Whether there is a tensor of this name. */
  holds(name: string): boolean {
    return this.#header.tensors.has(name);
  }

  /** A value of the metadata. @throws where there is none */
  text(key: string): string {
    return (
      this.#header.metadata.get(key) ??
      fail(`load: ${this.#path} is a safetensors file but no Tesserae checkpoint (its metadata has no ${key})`)
    );
  }

  /** A value of the metadata that is JSON. @throws where there is none, or it is none */
  json<T>(key: string): T {
    const text = this.text(key);
    try {
      return JSON.parse(text) as T;
    } catch {
      return fail(`load: ${this.#path}: its metadata's ${key} is damaged`);
    }
  }

  /** The model's sizes, as `check` accepts them. */
  config<C extends EncoderConfig>(check: (config: C) => C): C {
    const config = this.json<C | null>('config');
    try {
      if (!Array.isArray(config?.img_size)) fail('it lacks the size of the images');
      return check(config as C);
    } catch (error) {
      if (!(error instanceof TesseraeError)) throw error;
      return fail(`load: ${this.#path}: its metadata's config is no model's: ${error.message}`);
    }
  }

  /** Whether a loss scale is kept: that of a run in f16. */
  get scaled(): boolean {
    return this.#header.tensors.has('lossscale.scale');
  }

  /** Every parameter's value, by name. @throws where one is missing or of another shape */
  async weights(specs: readonly ParameterSpec[], progress?: ReadProgress): Promise<Map<string, Float32Array>> {
    const found = await this.#floats(specs, '', progress);
    const absent = specs.filter(({ name }) => !found.has(name));
    if (absent.length) fail(`load: ${this.#path} lacks ${absent.length} weights, first ${absent[0].name}`);
    return found;
  }

  /** Averages of the weights; null where none were kept. */
  async averages(specs: readonly ParameterSpec[]): Promise<Map<string, Float32Array> | null> {
    const found = await this.#floats(specs, 'ema.');
    return found.size ? found : null;
  }

  /** Null where the file has none. */
  async optimizer(specs: readonly ParameterSpec[]): Promise<OptimizerState | null> {
    const name = Object.keys(SLOTS).find((kind) => this.#header.tensors.has(`${kind}.step`));
    const step = name && (await this.#read(`${name}.step`));
    if (!name || !step) return null;
    const slots: Record<string, Map<string, Float32Array>> = {};
    for (const slot of SLOTS[name]) slots[slot] = await this.#floats(specs, `${name}.${slot}.`);
    const scale = await this.#read('lossscale.scale');
    const steps = await this.#read('lossscale.steps');
    const counts = steps && viewAs(steps, 'U32');
    const lossScale = scale && counts && { scale: toFloat32(scale)[0], good: counts[0], skipped: counts[1] };
    return { name, slots, step: viewAs(step, 'U32')[0], lossScale };
  }

  async #read(name: string): Promise<RawTensor | null> {
    const info = this.#header.tensors.get(name);
    return info ? readTensor(this.#source, info) : null;
  }

  async #floats(
    specs: readonly ParameterSpec[],
    prefix: string,
    progress?: ReadProgress,
  ): Promise<Map<string, Float32Array>> {
    const found = new Map<string, Float32Array>();
    const total = specs.reduce((sum, { shape }) => sum + numel(shape), 0);
    let done = 0;
    for (const { name, shape } of specs) {
      const tensor = await this.#read(prefix + name);
      if (!tensor) continue;
      if (String(tensor.shape) !== String(shape))
        fail(`load: ${this.#path}: ${prefix}${name} is (${tensor.shape}), the model needs (${shape})`);
      found.set(name, toFloat32(tensor));
      done += numel(shape);
      tellRead(progress, done, total);
    }
    return found;
  }
}
