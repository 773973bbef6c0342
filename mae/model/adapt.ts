// Weights of one model for another of other sizes: what is taken as it is, what is made to fit, and what begins anew. Nothing is left open.
import { fail } from '../../engine/errors.ts';
import type { ParameterSpec } from '../../engine/parameters.ts';
import { numel } from '../../engine/tensor.ts';
import { type EncoderConfig, gridOf, type MaeConfig } from './config.ts';
import { interpolatePositions } from './posembed.ts';

export interface Source {
  readonly config: EncoderConfig & Partial<MaeConfig>;
  readonly weights: ReadonlyMap<string, Float32Array>;
}

interface Adapted {
  readonly weights: Map<string, Float32Array>;
  /** Names of tensors that are the source's own. */
  readonly taken: readonly string[];
  /** How others were made from the source's, by name. */
  readonly changed: ReadonlyMap<string, string>;
  /** Names of those that begin as they do without a source. */
  readonly fresh: readonly string[];
}

/** In these an encoder's weights mean nothing to one of another size. */
const SAME = ['patch_size', 'embed_dim', 'depth', 'num_heads', 'mlp_ratio'] as const;
const DECODER = ['decoder_embed_dim', 'decoder_depth', 'decoder_num_heads', 'objective'] as const;
/** Of the decoder, or of SimMIM's head: their shapes may agree where their meaning does not. */
const ofDecoder = (name: string): boolean => name.startsWith('decoder_') || name === 'mask_token';

/**
 * Weights of the autoencoder `to` from a trained model.
 * @param fresh values that it would begin with, by name: those of positions that are fixed are always taken from here
 * @throws where the encoders differ in more than the image's size and its channels
 */
export function adaptWeights(
  to: MaeConfig,
  specs: readonly ParameterSpec[],
  fresh: ReadonlyMap<string, Float32Array>,
  from: Source,
): Adapted {
  const other = SAME.filter((size) => from.config[size] !== to[size]);
  if (other.length) {
    const sizes = other.map((size) => `${size} ${from.config[size]} (this run: ${to[size]})`).join(', ');
    fail(`init: the checkpoint's encoder has ${sizes}; leave out the flags that change it`);
  }
  const objective = (config: Partial<MaeConfig>): string => config.objective ?? 'mae';
  const decoder = DECODER.every((size) =>
    size === 'objective' ? objective(from.config) === objective(to) : from.config[size] === to[size],
  );
  const weights = new Map<string, Float32Array>();
  const taken: string[] = [];
  const changed = new Map<string, string>();
  const begun: string[] = [];
  for (const { name, shape } of specs) {
    const own = from.weights.get(name);
    const [data, how] = (ofDecoder(name) && !decoder ? null : own && fitted(name, own, shape, to, from.config)) ?? [];
    const value = data ?? fresh.get(name) ?? fail(`init: there is no value for ${name}`);
    weights.set(name, value);
    if (!data) begun.push(name);
    else if (how) changed.set(name, how);
    else taken.push(name);
  }
  return { weights, taken, changed, fresh: begun };
}

/** A tensor of the source and, where it had to be changed, how; null where there is no way. */
function fitted(
  name: string,
  own: Float32Array,
  shape: readonly number[],
  to: MaeConfig,
  from: EncoderConfig,
): readonly [Float32Array, string?] | null {
  if (name.endsWith('pos_embed')) {
    // Fixed ones are computed for any grid.
    if (to.pos_embed !== 'learned') return null;
    const [before, now] = [gridOf(from), gridOf(to)];
    if (String(before) === String(now)) return own.length === numel(shape) ? [own] : null;
    const how = `${before.join(' x ')} positions interpolated to ${now.join(' x ')}`;
    return [interpolatePositions(own, shape[2], before, now), how];
  }
  if (name === 'patch_embed.proj.weight' && from.in_chans !== to.in_chans) {
    const how = `${from.in_chans} channels made ${to.in_chans}`;
    return [otherChannels(own, shape, from.in_chans), how];
  }
  return own.length === numel(shape) ? [own] : null;
}

/**
 * A patch embedding's weights (D, C, p, p) for images of other channels, as timm does it: for one, the sum over all; for more, the given ones
 * over and over, scaled so that an image of equal channels is embedded as before.
 */
export function otherChannels(
  own: Float32Array,
  [D, C, height, width]: readonly number[],
  before: number,
): Float32Array {
  const area = height * width;
  const out = new Float32Array(D * C * area);
  for (let d = 0; d < D; d++) {
    for (let i = 0; i < area; i++) {
      const at = (c: number): number => own[(d * before + c) * area + i];
      if (C === 1) {
        let sum = 0;
        for (let c = 0; c < before; c++) sum += at(c);
        out[d * area + i] = sum;
      } else for (let c = 0; c < C; c++) out[(d * C + c) * area + i] = (at(c % before) * before) / C;
    }
  }
  return out;
}

/** What became of each of these weights, which are partly the source's own. */
export function adaptedTo(weights: Map<string, Float32Array>, from: Source): Adapted {
  const names = [...weights.keys()];
  const taken = names.filter((name) => weights.get(name) === from.weights.get(name));
  const changed = names.filter((name) => from.weights.has(name) && !taken.includes(name));
  const fresh = names.filter((name) => !from.weights.has(name));
  return { weights, taken, changed: new Map(changed.map((name) => [name, 'for another grid'])), fresh };
}

/** What became of every tensor, in one line: those of a block together. */
export function adaptedText({ taken, changed, fresh }: Adapted): string {
  const groups = (names: readonly string[]): string => {
    const found = new Map<string, number>();
    for (const name of names) {
      const group = /^(?:blocks|decoder_blocks)/.exec(name)?.[0] ?? name.replace(/\.(weight|bias)$/, '');
      found.set(group, (found.get(group) ?? 0) + 1);
    }
    return [...found].map(([group, count]) => (count > 1 ? `${group} (${count})` : group)).join(', ');
  };
  const parts = [`${taken.length} tensors taken`];
  if (changed.size) parts.push(`changed: ${[...changed].map(([name, how]) => `${name} (${how})`).join(', ')}`);
  if (fresh.length) parts.push(`not from it: ${groups(fresh)}`);
  return parts.join('; ');
}
