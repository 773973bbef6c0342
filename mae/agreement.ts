// How far computed tensors are from those of a conformance case: by groups, each within its bound.
import { type RawTensor, toFloat32, viewAs } from '../engine/rawtensor.ts';
import type { Safetensors } from '../engine/safetensors.ts';
import { numel } from '../engine/tensor.ts';
import type { MaeConfig } from './model/config.ts';

/** Largest relative error allowed in each group of tensors; 0 is exact. */
export const BOUNDS: Readonly<Record<string, number>> = {
  mask: 0,
  ids_keep: 0,
  ids_restore: 0,
  target: 1e-4,
  act: 1e-4,
  latent: 1e-4,
  pred: 1e-4,
  loss: 1e-5,
  grad: 1e-4,
  'train.loss': 1e-5,
  final: 1e-4,
  probe: 1e-4,
};

/** Where products are of f16 numbers. */
export const HALF_BOUNDS: Readonly<Record<string, number>> = {
  ...BOUNDS,
  act: 1e-2,
  latent: 1e-2,
  pred: 1e-2,
  loss: 2e-3,
  grad: 2e-2,
  'train.loss': 2e-3,
  final: 1e-2,
  probe: 1e-2,
};

export interface GroupResult {
  readonly group: string;
  readonly bound: number;
  /** Norm of the difference over norm of the reference, the worst tensor of the group. */
  readonly error: number;
  readonly worst: string;
  readonly tensors: number;
}

export interface ConformanceResult {
  readonly groups: readonly GroupResult[];
  /** Every tensor that was computed, under the case's names. */
  readonly computed: ReadonlyMap<string, RawTensor>;
  /** Groups of the case that this version does not compute. */
  readonly missing: readonly string[];
  readonly passed: boolean;
}

const GIVEN = ['param', 'img', 'noise', 'train.img', 'train.noise', 'train.lr'];
const GIVEN_TO_PROBE = ['probe.img', 'probe.labels', 'probe.head.weight0', 'probe.head.bias0'];
const groupOf = (name: string): string => (name.startsWith('train.') ? name : name.split('.')[0]);

/** Groups of tensors with the worst error of each. */
export function judge(
  file: Safetensors,
  computed: ReadonlyMap<string, RawTensor>,
  config: MaeConfig,
  bounds: Readonly<Record<string, number>>,
): ConformanceResult {
  const groups = new Map<string, { error: number; worst: string; tensors: number }>();
  const missing = new Set<string>();
  for (const [name, want] of file.tensors) {
    const group = groupOf(name);
    if (GIVEN.includes(group) || GIVEN_TO_PROBE.includes(name)) continue;
    const got = computed.get(name);
    // Fixed position embeddings are parameters of the file that training leaves alone.
    if (!got) missing.add(group);
    else {
      const error = relativeError(name, got, want, config);
      const before = groups.get(group) ?? { error: -1, worst: '', tensors: 0 };
      const worse = !(error <= before.error);
      groups.set(group, {
        error: worse ? error : before.error,
        worst: worse ? name : before.worst,
        tensors: before.tensors + 1,
      });
    }
  }
  const results = [...groups].map(([group, r]) => ({ group, bound: bounds[group] ?? 1e-4, ...r }));
  const partly = [...missing].some((group) => groups.has(group) || group in BOUNDS);
  const passed = !partly && results.every((r) => r.error <= r.bound);
  return { groups: results, computed, missing: [...missing], passed };
}

function relativeError(name: string, got: RawTensor, want: RawTensor, config: MaeConfig): number {
  if (numel(got.shape) !== numel(want.shape)) return Number.NaN;
  const integer = want.dtype === 'I32';
  const a = integer ? viewAs(got, 'I32') : toFloat32(got);
  const b = integer ? viewAs(want, 'I32') : toFloat32(want);
  let difference = 0;
  let norm = 0;
  // The K third of qkv.bias has an exactly zero gradient: Adam divides its rounding noise by its own size.
  const dim = name.startsWith('final.decoder_blocks') ? config.decoder_embed_dim : config.embed_dim;
  const skip = name.startsWith('final.') && name.endsWith('qkv.bias') ? [dim, 2 * dim] : [0, 0];
  for (let i = 0; i < b.length; i++) {
    if (i >= skip[0] && i < skip[1]) continue;
    difference += (a[i] - b[i]) ** 2;
    norm += b[i] ** 2;
  }
  return norm === 0 ? Math.sqrt(difference) : Math.sqrt(difference / norm);
}
