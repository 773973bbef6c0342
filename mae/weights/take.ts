// A file's tensors under our names: which there are, which a model lacks or has besides, and the values of those that it needs.
import { fail } from '../../engine/errors.ts';
import type { ParameterSpec } from '../../engine/parameters.ts';
import { toFloat32 } from '../../engine/rawtensor.ts';
import { numel } from '../../engine/tensor.ts';
import { parameterCount } from '../model/parameter-count.ts';
import { type ReadProgress, tellRead } from '../train/modelfile.ts';
import type { Format, Loaded, Report } from './loaded.ts';
import { type Naming, ourName, type Part } from './names.ts';
import { foldProbe, PROBE } from './probe.ts';
import type { Hints, Positions } from './sizes.ts';
import { refuseOdd, type TensorFile } from './tensorfile.ts';

/** Tensors, in a file's own names, by ours. */
export interface Renamed {
  readonly naming: Naming;
  readonly file: TensorFile;
  /** One, or query, key and value in this order. */
  readonly sources: ReadonlyMap<string, readonly string[]>;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
}

/** What is read of a file, and what it does not say itself. */
export interface ReadOptions extends Hints {
  /** The encoder's weights alone: nothing of a decoder or head is read. */
  readonly only?: 'encoder';
  /** No weights: what the file is, by its names and shapes. */
  readonly sizesOnly?: boolean;
  readonly maskRatio?: number;
  readonly progress?: ReadProgress;
}

/** Every tensor under our name; what is apart and belongs together, together. */
export function rename(file: TensorFile): Renamed {
  const parts = new Map<string, { written: string; part?: Part }[]>();
  let naming: Naming = 'mae';
  for (const written of file.tensors.keys()) {
    refuseOdd(written);
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

export async function positionsOf({ file, sources }: Renamed, name: string): Promise<Positions> {
  const [written] = sources.get(name) ?? fail(`lacks ${name}`);
  const tensor = await file.read(written);
  return { values: toFloat32(tensor), dtype: tensor.dtype };
}

/** These change what a transformer computes, so that weights alone would not do. */
const CHANGES =
  /^(blocks|decoder_blocks|patch_embed|norm_pre|pos_|cls_|dist_token|reg_token|register|embeddings|encoder|layers)/;

interface Common {
  readonly name: string;
  readonly renamed: Renamed;
  readonly options: ReadOptions;
  readonly notes: readonly string[];
}

/** Reads the weights of `specs`; of a linear probe those that its head is made of, too. */
export async function take(
  { name, renamed, options, notes }: Common,
  format: Format,
  kind: Loaded['kind'],
  specs: readonly ParameterSpec[],
  isProbe = false,
): Promise<{ name: string; weights: Map<string, Float32Array>; report: Report }> {
  const { sources, shapes, file } = renamed;
  const folded: readonly string[] = isProbe ? Object.values(PROBE) : [];
  const known = new Set([...specs.map((spec) => spec.name), ...folded]);
  const lacking = specs.filter((spec) => !sources.has(spec.name) && !(isProbe && spec.name.startsWith('head.')));
  const missing = lacking.map((spec) => spec.name);
  const left = [...sources].filter(([weight]) => !known.has(weight));
  const harmful = left.filter(([weight]) => CHANGES.test(weight) && !(options.only && weight.startsWith('decoder_')));
  if (harmful.length) {
    const first = harmful[0][1][0].slice(0, 200);
    fail(`has ${harmful.length} tensors that models here do not have, first ${first}: it is another architecture`);
  }
  // A fine-tuned encoder has no final norm of its own: whoever needs it says so.
  const needed = missing.filter((weight) => kind !== 'encoder' || !weight.startsWith('norm.'));
  if (needed.length) fail(`lacks ${needed.length} of its ${specs.length} weights: ${listText(needed)}`);
  const wanted = specs.filter((spec) => sources.has(spec.name));
  refuseIntegers(renamed, [...wanted.map((spec) => spec.name), ...folded.filter((weight) => weight !== PROBE.batches)]);
  for (const { name: weight, shape } of wanted) {
    const found = shapes.get(weight) ?? [];
    if (String(found) !== String(shape))
      fail(`${weight} is (${found.join(', ')}), the model needs (${shape.join(', ')})`);
  }
  const weights = options.sizesOnly ? new Map<string, Float32Array>() : await valuesOf(renamed, wanted, options);
  if (isProbe && !options.sizesOnly) {
    for (const weight of [PROBE.mean, PROBE.variance, PROBE.weight, PROBE.bias]) {
      const count = numel(shapes.get(weight) ?? fail(`is a linear probe that lacks ${weight}`));
      weights.set(weight, await values(renamed, weight, count));
    }
    foldProbe(weights);
  }
  const unexpected = options.only ? [] : left.flatMap(([, written]) => written);
  const { container, besides } = file;
  const parameters = parameterCount(specs.filter((spec) => !missing.includes(spec.name)));
  return { name, weights, report: { format, container, parameters, missing, unexpected, besides, notes } };
}

/** Quantised weights, say. */
function refuseIntegers({ file, sources }: Renamed, weights: readonly string[]): void {
  for (const written of weights.flatMap((weight) => sources.get(weight) ?? [])) {
    const dtype = file.tensors.get(written)?.dtype;
    if (dtype && !/^B?F\d+$/.test(dtype)) fail(`${written} is ${dtype}, weights must be F32, F16, BF16 or F64`);
  }
}

async function valuesOf(
  renamed: Renamed,
  wanted: readonly ParameterSpec[],
  { progress }: ReadOptions,
): Promise<Map<string, Float32Array>> {
  const weights = new Map<string, Float32Array>();
  const total = wanted.reduce((sum, { shape }) => sum + numel(shape), 0);
  let done = 0;
  for (const { name, shape } of wanted) {
    weights.set(name, await values(renamed, name, numel(shape)));
    done += numel(shape);
    tellRead(progress, done, total);
  }
  return weights;
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
