// Model files: safetensors with weights under the reference's names, the optimizer's state beside them, and metadata that says what it is.
import { fail, TesseraeError } from '../../engine/errors.ts';
import { type FileSource, openSafetensorsFile, writeFileAtomic } from '../../engine/node/files.ts';
import type { ParameterSpec } from '../../engine/parameters.ts';
import { type RawTensor, rawTensor, toFloat32, viewAs } from '../../engine/rawtensor.ts';
import { readHeader, readTensor, writeSafetensors } from '../../engine/safetensors.ts';
import type { EncoderConfig } from '../model/config.ts';
import { VERSION } from '../version.ts';

/** Raised when a file of this version could not be read by the one before. */
export const FORMAT = 1;

/** What a file's model was made for; files of before there was a second kind do not say. */
export type Task = 'pretrain' | 'classify';
const COMMANDS: Readonly<Record<Task, string>> = {
  pretrain: 'a masked autoencoder: reconstruct, linprobe, knn, finetune and pretrain --resume take it',
  classify: 'a classifier: eval, classify and finetune --resume take it',
};

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

export interface Stored {
  readonly specs: readonly ParameterSpec[];
  readonly weights: ReadonlyMap<string, Float32Array>;
  readonly optimizer: OptimizerState | null;
  /** Averages of the weights (EMA), by the same names. */
  readonly averages?: ReadonlyMap<string, Float32Array> | null;
  /** Tensors besides, under names that no parameter has. */
  readonly besides?: readonly (readonly [string, RawTensor])[];
}

/** Writes the file whole or not at all. Metadata that is not text goes in as JSON; null is left out. */
export async function writeModel(
  path: string,
  { specs, weights, optimizer, averages, besides = [] }: Stored,
  task: Task,
  metadata: Readonly<Record<string, unknown>>,
): Promise<void> {
  const tensors: (readonly [string, RawTensor])[] = [];
  for (const { name, shape } of specs) {
    const add = (prefix: string, data: Float32Array | undefined): void => {
      if (data) tensors.push([prefix + name, rawTensor('F32', shape, data)]);
    };
    add('', weights.get(name) ?? fail(`save: the weights lack ${name}`));
    for (const [slot, values] of Object.entries(optimizer?.slots ?? {}))
      add(`${optimizer?.name}.${slot}.`, values.get(name));
    add('ema.', averages?.get(name));
  }
  if (optimizer) tensors.push([`${optimizer.name}.step`, rawTensor('U32', [1], Uint32Array.of(optimizer.step))]);
  if (optimizer?.lossScale) {
    const { scale, good, skipped } = optimizer.lossScale;
    tensors.push(['lossscale.scale', rawTensor('F32', [1], Float32Array.of(scale))]);
    tensors.push(['lossscale.steps', rawTensor('U32', [2], Uint32Array.of(good, skipped))]);
  }
  const texts: Record<string, string> = { format: 'pt', tesserae: String(FORMAT), made_by: VERSION, task };
  for (const [key, value] of Object.entries(metadata)) {
    if (value !== null && value !== undefined) texts[key] = typeof value === 'string' ? value : JSON.stringify(value);
  }
  await writeFileAtomic(path, writeSafetensors([...tensors, ...besides], texts));
}

/** What the model in a file is for, from its header alone; a file that says nothing is an autoencoder. */
export async function taskOf(path: string): Promise<string> {
  await using source = await openSafetensorsFile(path);
  return (await readHeader(source)).metadata.get('task') ?? 'pretrain';
}

/** An open model file; every error names it. */
export class ModelFile {
  readonly #path: string;
  readonly #source: FileSource;
  readonly #header: Awaited<ReturnType<typeof readHeader>>;

  private constructor(path: string, source: FileSource, header: Awaited<ReturnType<typeof readHeader>>) {
    this.#path = path;
    this.#source = source;
    this.#header = header;
  }

  /** @throws where it is no file of ours, of a later version, or of another task */
  static async open(path: string, task: Task): Promise<ModelFile> {
    const source = await openSafetensorsFile(path);
    try {
      const file = new ModelFile(path, source, await readHeader(source, { requireChecksums: true }));
      const version = Number(file.text('tesserae'));
      if (!(version <= FORMAT)) {
        const maker = file.#header.metadata.get('made_by');
        const by = maker ? `made by Tesserae ${maker}, this is ${VERSION}: ` : '';
        fail(
          `load: ${path}: ${by}format ${file.text('tesserae')}, this version reads up to ${FORMAT}; update Tesserae`,
        );
      }
      const own = (file.#header.metadata.get('task') ?? 'pretrain') as Task;
      if (own !== task)
        fail(`load: ${path} holds ${COMMANDS[own] ?? `a model for ${own}, which this version does not know`}`);
      return file;
    } catch (error) {
      await source[Symbol.asyncDispose]();
      throw error;
    }
  }

  has(key: string): boolean {
    return this.#header.metadata.has(key);
  }

  text(key: string): string {
    return (
      this.#header.metadata.get(key) ??
      fail(`load: ${this.#path} is a safetensors file but no Tesserae checkpoint (its metadata has no ${key})`)
    );
  }

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

  /** Every parameter's value. */
  async weights(specs: readonly ParameterSpec[]): Promise<Map<string, Float32Array>> {
    const found = await this.#floats(specs, '');
    const absent = specs.filter(({ name }) => !found.has(name));
    if (absent.length) fail(`load: ${this.#path} lacks ${absent.length} weights, first ${absent[0].name}`);
    return found;
  }

  /** Averages of the weights; null where none were kept. */
  async averages(specs: readonly ParameterSpec[]): Promise<Map<string, Float32Array> | null> {
    const found = await this.#floats(specs, 'ema.');
    return found.size ? found : null;
  }

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

  [Symbol.asyncDispose](): Promise<void> {
    return this.#source[Symbol.asyncDispose]() as Promise<void>;
  }

  async #read(name: string): Promise<RawTensor | null> {
    const info = this.#header.tensors.get(name);
    return info ? readTensor(this.#source, info) : null;
  }

  async #floats(specs: readonly ParameterSpec[], prefix: string): Promise<Map<string, Float32Array>> {
    const found = new Map<string, Float32Array>();
    for (const { name, shape } of specs) {
      const tensor = await this.#read(prefix + name);
      if (!tensor) continue;
      if (String(tensor.shape) !== String(shape))
        fail(`load: ${this.#path}: ${prefix}${name} is (${tensor.shape}), the model needs (${shape})`);
      found.set(name, toFloat32(tensor));
    }
    return found;
  }
}
