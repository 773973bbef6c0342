// Reads weights of other projects: finds out what a file holds, brings every tensor under one name, and refuses what would compute something else.
import { fail } from '../../engine/errors.ts';
import type { ByteSource } from '../../engine/safetensors.ts';
import { classifierSpecs } from '../model/classifier.ts';
import { encoderSpecs, type EncoderConfig, parameterSpecs } from '../model/config.ts';
import type { DataInfo } from '../train/checkpoint.ts';
import { checkHf, classesOf, hintsOfHf, type Json, normalisationOf, readJson, timmConfig } from './hfconfig.ts';
import type { Format, Loaded } from './loaded.ts';
import type { Place } from './place.ts';
import { PROBE } from './probe.ts';
import { autoencoderSizes, classifierSizes, encoderSizes, type Hints, hintsOfArgs, refuseOther } from './sizes.ts';
import { positionsOf, type ReadOptions, type Renamed, rename, take } from './take.ts';
import { safetensorsFile, shardedFile, type TensorFile } from './tensorfile.ts';
import { isTorch, torchFile } from './torch.ts';

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

/** The tensors of a place in any container; `named` is the file that a user gave. */
async function openTensors(source: ByteSource, place: Place): Promise<TensorFile> {
  const container = await containerOf(source);
  if (container === 'torch') return torchFile(source);
  if (container === 'json') return shardedFile(place, source, (shard) => openTensors(shard, place));
  return safetensorsFile(source);
}

const BRACE = 0x7b;

/** What a file is by its first bytes. @throws where it is none of these */
export async function containerOf(source: ByteSource): Promise<'torch' | 'json' | 'safetensors'> {
  const head = await source.read(0, Math.min(16, source.size));
  if (isTorch(head)) return 'torch';
  if (head[0] === BRACE) return 'json';
  // Behind the header's length.
  if (head[8] === BRACE) return 'safetensors';
  const text = new TextDecoder().decode(head);
  if (!head.length) fail(`${source.name}: is empty: download or copy it again`);
  if (text.startsWith('version https:')) fail(`${source.name}: is a pointer of Git LFS, not the weights: git lfs pull`);
  if (/^\s*</.test(text))
    fail(`${source.name}: is a web page, not weights: give the address of the file itself, or OWNER/NAME of the hub`);
  return fail(
    `${source.name}: holds no weights that are known: it is neither safetensors nor what torch.save writes; give another file, or fetch it again`,
  );
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
  // A part of a decoder, as a shard of several has, is no encoder: what lacks is named.
  if ([...shapes.keys()].some((name) => name.startsWith('decoder_'))) return 'autoencoder';
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
  refuseOther(found, options);
  const hints: Hints = { ...found, ...definedOnly(pick(options)) };
  const encoder = encoderSizes(shapes, await positionsOf(renamed, 'pos_embed'), hints);
  const notes: string[] = [];
  const common = { name, renamed, options, notes };
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
    const taken = await take(common, format, kind, parameterSpecs(sizes));
    return { kind: 'autoencoder', config: sizes, data, maskRatio, target, ...taken };
  }
  if (naming === 'huggingface' && config) checkHf(config, encoder);
  if (kind === 'classifier') {
    const probe = !shapes.has('head.weight');
    const sizes = classifierSizes(
      encoder,
      probe ? new Map([...shapes, ['head.weight', shapes.get(PROBE.weight) ?? []]]) : shapes,
      timm && config ? config.global_pool : undefined,
    );
    const specs = classifierSpecs(sizes);
    const names = (config && classesOf(config, sizes.nb_classes)) ?? ours?.data?.classes;
    const classes = isNames(names, sizes.nb_classes) ?? Array.from({ length: sizes.nb_classes }, (_, i) => String(i));
    if (probe) notes.push("the probe's batch norm went into the head");
    const taken = await take(common, format, kind, specs, probe);
    return { kind: 'classifier', config: sizes, data: { ...data, classes }, maskRatio, ...taken };
  }
  return {
    kind: 'encoder',
    config: encoder,
    data,
    maskRatio,
    ...(await take(common, format, kind, encoderSpecs(encoder))),
  };
}

const NO_CONFIG =
  'its names are those of Hugging Face, whose sizes are in a config.json: put it beside, or give the folder';
const definedOnly = (hints: Hints): Hints =>
  Object.fromEntries(Object.entries(hints).filter(([, value]) => value !== undefined));

const pick = ({ img_size, num_heads, decoder_num_heads, ln_eps, norm_pix_loss, dropout }: Hints): Hints => ({
  img_size,
  num_heads,
  decoder_num_heads,
  ln_eps,
  norm_pix_loss,
  dropout,
});

const isNames = (value: unknown, count: number): string[] | null =>
  Array.isArray(value) && value.length === count && value.every((name) => typeof name === 'string') ? value : null;

/** Of a config in a stranger's file, what has the type that it must have. */
function plausible(config: Partial<Record<keyof Hints, unknown>>): Hints {
  const number = (value: unknown): number | undefined =>
    typeof value === 'number' && Number.isFinite(value) ? value : undefined;
  const { img_size: size, norm_pix_loss: norm } = config;
  const sides =
    Array.isArray(size) && size.length === 2 && size.every((side) => Number.isSafeInteger(side) && side > 0);
  return definedOnly({
    img_size: sides ? [size[0], size[1]] : undefined,
    num_heads: number(config.num_heads),
    decoder_num_heads: number(config.decoder_num_heads),
    ln_eps: number(config.ln_eps),
    norm_pix_loss: typeof norm === 'boolean' ? norm : undefined,
    dropout: number(config.dropout),
  });
}

/** What our own export says in a safetensors file's metadata; null where it is no export. */
function exported({ hints }: TensorFile): { config: Hints; data: DataInfo | null; maskRatio?: number } | null {
  const text = hints.get('tesserae_export');
  if (typeof text !== 'string' || text.length > 1e6) return null;
  try {
    const { config = {}, data = null, mask_ratio } = JSON.parse(text) ?? {};
    return { config: plausible(config), data, maskRatio: mask_ratio };
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
