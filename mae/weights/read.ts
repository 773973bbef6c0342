// Reads weights of other projects: finds out what a file holds, brings every tensor under one name, and refuses what would compute something else.
import { fail } from '../../engine/errors.ts';
import type { ParameterSpec } from '../../engine/parameters.ts';
import { toFloat32 } from '../../engine/rawtensor.ts';
import type { ByteSource } from '../../engine/safetensors.ts';
import { numel } from '../../engine/tensor.ts';
import { classifierSpecs } from '../model/classifier.ts';
import { encoderSpecs, type EncoderConfig, parameterSpecs } from '../model/config.ts';
import type { DataInfo } from '../train/checkpoint.ts';
import { checkHf, classesOf, hintsOfHf, type Json, normalisationOf, readJson, timmConfig } from './hfconfig.ts';
import type { Format, Loaded, Report } from './loaded.ts';
import { type Naming, ourName, type Part } from './names.ts';
import type { Place } from './place.ts';
import { foldProbe, PROBE } from './probe.ts';
import { autoencoderSizes, classifierSizes, encoderSizes, type Hints, hintsOfArgs, type Positions } from './sizes.ts';
import { safetensorsFile, shardedFile, type TensorFile } from './tensorfile.ts';
import { isTorch, torchFile } from './torch.ts';

export interface ReadOptions extends Hints {
  /** The encoder's weights alone: nothing of a decoder or head is read. */
  readonly only?: 'encoder';
  readonly maskRatio?: number;
}

/** What a folder may hold, in the order in which it is looked for. */
const FILES = [
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
  'checkpoint.safetensors',
] as const;

/** Of ImageNet, with which nearly all published weights were trained. */
const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
const MASK_RATIO = 0.75;

/** Tensors, in a file's own names, by ours. */
interface Renamed {
  readonly naming: Naming;
  readonly file: TensorFile;
  /** One, or query, key and value in this order. */
  readonly sources: ReadonlyMap<string, readonly string[]>;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
}

/** The tensors of a place in any container; `named` is the file that a user gave. */
export async function openTensors(source: ByteSource, place: Place): Promise<TensorFile> {
  const head = await source.read(0, Math.min(16, source.size));
  if (isTorch(head)) return torchFile(source);
  if (head[0] === 0x7b) return shardedFile(place, source, (shard) => openTensors(shard, place));
  return safetensorsFile(source);
}

/** The file of a folder that has the weights. */
export async function weightsOf(place: Place): Promise<ByteSource> {
  if (place.file) return place.file;
  for (const name of FILES) {
    const source = await place.open(name);
    if (source) return source;
  }
  return fail(`${place.name}: has none of ${FILES.join(', ')}: name a file, or a folder with one of them`);
}

/** What the weights are, from their names alone. */
export async function kindOf(place: Place): Promise<Loaded['kind']> {
  const { shapes } = rename(await openTensors(await weightsOf(place), place));
  return kindBy(shapes);
}

function kindBy(shapes: Renamed['shapes']): Loaded['kind'] {
  if (shapes.has('decoder_pred.weight') && shapes.has('decoder_blocks.0.mlp.fc1.weight')) return 'autoencoder';
  return shapes.get('head.weight')?.length === 2 || shapes.has(PROBE.weight) ? 'classifier' : 'encoder';
}

/** @throws TesseraeError that names the file */
export async function readWeights(place: Place, options: ReadOptions = {}): Promise<Loaded> {
  const source = await weightsOf(place);
  const file = await openTensors(source, place);
  const configs = await Promise.all(['config.json', 'preprocessor_config.json'].map((name) => place.open(name)));
  const [config, preprocessor] = await Promise.all(configs.map((found) => (found ? readJson(found) : null)));
  try {
    return await interpret(place.name, file, config, preprocessor, options);
  } catch (error) {
    const { message } = error as Error;
    throw message.includes(place.name) || message.includes(String(source.name))
      ? error
      : prefixed(place.name, error as Error);
  }
}

function prefixed(name: string, error: Error): Error {
  error.message = `${name}: ${error.message}`;
  return error;
}

async function interpret(
  name: string,
  file: TensorFile,
  json: Json | null,
  preprocessor: Json | null,
  options: ReadOptions,
): Promise<Loaded> {
  const renamed = rename(file);
  const { shapes, naming } = renamed;
  if (!shapes.has('patch_embed.proj.weight') || !shapes.has('blocks.0.mlp.fc1.weight')) {
    const known = [...file.tensors.keys()].slice(0, 5).join(', ').slice(0, 200);
    fail(
      `holds no vision transformer by the names of facebookresearch/mae, Hugging Face or timm; it has ${known || 'no tensors'}`,
    );
  }
  const config = naming === 'huggingface' ? (json ?? fail(NO_CONFIG)) : json;
  const timm = naming === 'mae' && config ? timmConfig(config) : null;
  const fromHf: Hints & { maskRatio?: number } = naming === 'huggingface' && config ? hintsOfHf(config) : {};
  const ours = naming === 'mae' ? exported(file) : null;
  const args = file.hints;
  const found = { ...hintsOfArgs(args, shapes), ...fromHf, ...ours?.config };
  const hints: Hints = { ...found, ...definedOnly(options) };
  const encoder = encoderSizes(shapes, await positionsOf(renamed, 'pos_embed'), hints);
  const notes: string[] = [];
  const common = { name, renamed, file, options, notes };
  const [data, assumed] = dataInfo(encoder, [preprocessor, timm, ours?.data ?? null]);
  if (assumed) notes.push("the normalisation is not said; taken as ImageNet's");
  const format: Format = naming === 'huggingface' ? 'Hugging Face' : timm ? 'timm' : 'facebookresearch/mae';
  const ratio = options.maskRatio ?? fromHf.maskRatio ?? ours?.maskRatio ?? args.get('mask_ratio');
  const maskRatio = typeof ratio === 'number' && ratio >= 0 && ratio < 1 ? ratio : MASK_RATIO;
  const kind = options.only ?? kindBy(shapes);
  if (kind === 'autoencoder') {
    const sizes = autoencoderSizes(encoder, shapes, await positionsOf(renamed, 'decoder_pos_embed'), hints);
    if (naming === 'huggingface' && config) checkHf(config, sizes);
    const said = hints.norm_pix_loss !== undefined;
    const target = said ? (sizes.norm_pix_loss ? 'normalised pixels' : 'pixels') : null;
    const taken = await take(common, format, parameterSpecs(sizes));
    return { kind: 'autoencoder', config: sizes, data, maskRatio, target, ...taken };
  }
  if (naming === 'huggingface' && config) checkHf(config, encoder);
  if (kind === 'classifier') {
    const probe = !shapes.has('head.weight');
    const sizes = classifierSizes(
      encoder,
      probe ? new Map([...shapes, ['head.weight', shapes.get(PROBE.weight) ?? []]]) : shapes,
    );
    const specs = classifierSpecs(sizes);
    const names = (config && classesOf(config, sizes.nb_classes)) ?? ours?.data?.classes;
    const classes = isNames(names, sizes.nb_classes) ?? Array.from({ length: sizes.nb_classes }, (_, i) => String(i));
    if (probe) notes.push("the probe's batch norm went into the head");
    const extra = probe ? Object.values(PROBE) : [];
    const taken = await take(common, format, specs, probe ? extra : []);
    return { kind: 'classifier', config: sizes, data: { ...data, classes }, maskRatio, ...taken };
  }
  return { kind: 'encoder', config: encoder, data, maskRatio, ...(await take(common, format, encoderSpecs(encoder))) };
}

const NO_CONFIG =
  'its names are those of Hugging Face, whose sizes are in a config.json: put it beside, or give the folder';
const definedOnly = ({ only: _, maskRatio: __, ...hints }: ReadOptions): Hints =>
  Object.fromEntries(Object.entries(hints).filter(([, value]) => value !== undefined));

const isNames = (value: unknown, count: number): string[] | null =>
  Array.isArray(value) && value.length === count && value.every((name) => typeof name === 'string') ? value : null;

/** Every tensor under our name; what is apart and belongs together, together. */
function rename(file: TensorFile): Renamed {
  const parts = new Map<string, { written: string; part?: Part }[]>();
  let naming: Naming = 'mae';
  for (const written of file.tensors.keys()) {
    const weight = ourName(written);
    if (weight.naming === 'huggingface') naming = 'huggingface';
    const list = parts.get(weight.name) ?? [];
    if (list.some(({ part }) => part === weight.part)) fail(`has two tensors for ${weight.name.slice(0, 200)}`);
    list.push({ written, part: weight.part });
    parts.set(weight.name, list);
  }
  const sources = new Map<string, string[]>();
  const shapes = new Map<string, readonly number[]>();
  for (const [name, list] of parts) {
    const whole = list.length === 1 && list[0].part === undefined;
    const sorted = whole ? list : [0, 1, 2].map((part) => list.find((one) => one.part === part));
    if (!sorted.every((one) => one !== undefined) || (!whole && list.length !== 3))
      fail(`has query, key and value of ${name} only in part: ${list.map(({ written }) => written).join(', ')}`);
    sources.set(
      name,
      sorted.map(({ written }) => written),
    );
    const all = sorted.map(({ written }) => file.tensors.get(written)?.shape ?? []);
    if (all.some((shape) => String(shape) !== String(all[0]))) fail(`query, key and value of ${name} differ in shape`);
    shapes.set(name, whole ? all[0] : [3 * (all[0][0] ?? 0), ...all[0].slice(1)]);
  }
  return { naming, file, sources, shapes };
}

async function positionsOf({ file, sources }: Renamed, name: string): Promise<Positions> {
  const [written] = sources.get(name) ?? fail(`lacks ${name}`);
  const tensor = await file.read(written);
  return { values: toFloat32(tensor), dtype: tensor.dtype };
}

/** What our own export says in a safetensors file's metadata; null where it is no export. */
function exported({ hints }: TensorFile): { config: Hints; data: DataInfo | null; maskRatio?: number } | null {
  const text = hints.get('tesserae_export');
  if (typeof text !== 'string' || text.length > 1e6) return null;
  try {
    const { config = {}, data = null, mask_ratio } = JSON.parse(text) ?? {};
    const { img_size, num_heads, decoder_num_heads, ln_eps, norm_pix_loss, dropout } = config;
    const given = { img_size, num_heads, decoder_num_heads, ln_eps, norm_pix_loss, dropout };
    return { config: definedOnly(given), data, maskRatio: mask_ratio };
  } catch {
    return null;
  }
}

/** Normalisation and name; whether it had to be assumed. */
function dataInfo(
  { in_chans }: EncoderConfig,
  said: readonly (Json | DataInfo | null)[],
): [DataInfo, assumed: boolean] {
  const found = said.flatMap((json) => (json && normalisationOf(json as Json, in_chans)) ?? [])[0];
  const one = Array.from({ length: in_chans }, () => 1);
  const standard = in_chans === 3 ? IMAGENET : { mean: one.map(() => 0), std: one };
  return [{ name: 'unknown', ...(found ?? standard), classes: null }, !found];
}

/** These change what a transformer computes, so that weights alone would not do. */
const CHANGES =
  /^(blocks|decoder_blocks|patch_embed|norm_pre|pos_|cls_|dist_token|reg_token|register|embeddings|encoder|layers)/;

interface Common {
  readonly name: string;
  readonly renamed: Renamed;
  readonly file: TensorFile;
  readonly options: ReadOptions;
  readonly notes: readonly string[];
}

/** Reads the weights of `specs`; `folded` are others that a linear probe's head is made of. */
async function take(
  { name, renamed, file, options, notes }: Common,
  format: Format,
  specs: readonly ParameterSpec[],
  folded: readonly string[] = [],
): Promise<{ name: string; weights: Map<string, Float32Array>; report: Report }> {
  const { sources, shapes } = renamed;
  const probed = folded.length ? ['head.weight', 'head.bias'] : [];
  const missing = specs.map((spec) => spec.name).filter((weight) => !sources.has(weight) && !probed.includes(weight));
  const left = [...sources].filter(([weight]) => !specs.some((s) => s.name === weight) && !folded.includes(weight));
  const harmful = left.filter(([weight]) => CHANGES.test(weight) && !(options.only && weight.startsWith('decoder_')));
  if (harmful.length) {
    fail(
      `has ${harmful.length} tensors that models here do not have, first ${harmful[0][1][0].slice(0, 200)}: it is another architecture`,
    );
  }
  // A fine-tuned encoder has no final norm of its own: whoever needs it says so.
  const needed = missing.filter((weight) => !weight.startsWith('norm.') || specs.some((s) => s.name === 'head.weight'));
  if (needed.length) fail(`lacks ${needed.length} of its ${specs.length} weights: ${listText(needed)}`);
  const weights = new Map<string, Float32Array>();
  const read = async (weight: string, shape: readonly number[]): Promise<void> => {
    const found = shapes.get(weight) ?? [];
    if (String(found) !== String(shape))
      fail(`${weight} is (${found.join(', ')}), the model needs (${shape.join(', ')})`);
    weights.set(weight, await values(renamed, weight, numel(shape)));
  };
  for (const { name: weight, shape } of specs) if (sources.has(weight)) await read(weight, shape);
  if (folded.length) {
    for (const weight of folded)
      if (sources.has(weight) && weight !== PROBE.batches) await read(weight, shapes.get(weight) ?? []);
    foldProbe(weights);
  }
  const parameters = [...weights.values()].reduce((sum, { length }) => sum + length, 0);
  const unexpected = options.only ? [] : left.flatMap(([, written]) => written);
  const { container, besides } = file;
  return { name, weights, report: { format, container, parameters, missing, unexpected, besides, notes } };
}

async function values({ file, sources }: Renamed, name: string, count: number): Promise<Float32Array> {
  const written = sources.get(name) ?? [];
  if (written.length === 1) return toFloat32(await file.read(written[0]));
  const out = new Float32Array(count);
  for (const [i, part] of written.entries()) out.set(toFloat32(await file.read(part)), (i * count) / written.length);
  return out;
}

/** The first few of many names. */
export const listText = (names: readonly string[], most = 4): string =>
  names.slice(0, most).join(', ') + (names.length > most ? ` and ${names.length - most} more` : '');
