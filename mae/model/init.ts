// Initial weights, exactly distributed as facebookresearch/mae's initialize_weights.
import { type Random, random } from '../../kernels/random/random.ts';
import { numel } from '../../engine/tensor.ts';
import { STREAM } from '../data/streams.ts';
import { gridOf, type MaeConfig, parameterSpecs, patchValues } from './config.ts';
import { sinCosPositions } from './posembed.ts';

/** Values by name: linear weights xavier-uniform (fused qkv as one matrix), biases 0, norms 1 and 0, tokens N(0, .02). */
export function initialWeights(config: MaeConfig, seed: number): Map<string, Float32Array> {
  // By the autoencoder's numbering whatever the objective, so that the encoders of a comparison begin as one.
  const numbers = new Map(parameterSpecs({ ...config, objective: 'mae' }).map(({ name }, i) => [name, i]));
  return new Map(
    parameterSpecs(config).map(({ name, shape }) => {
      const rng = random(seed, STREAM.init + (numbers.get(name) as number));
      return [name, values(name, shape, config, rng)];
    }),
  );
}

function values(name: string, shape: readonly number[], config: MaeConfig, rng: Random): Float32Array {
  const data = new Float32Array(numel(shape));
  const uniform = (bound: number) => data.map(() => (2 * rng.uniform() - 1) * bound);
  if (name.endsWith('pos_embed')) {
    // Learned ones begin as timm's do.
    if (config.pos_embed === 'learned') return data.map(() => 0.02 * rng.normal());
    return config.pos_embed === 'none' ? data : sinCosPositions(shape[2], gridOf(config));
  }
  if (name.endsWith('_token')) return data.map(() => 0.02 * rng.normal());
  // The reference re-initialises Linear and LayerNorm only: the convolution's bias keeps torch's default.
  if (name === 'patch_embed.proj.bias') return uniform(1 / Math.sqrt(patchValues(config)));
  if (name.endsWith('.bias')) return data;
  if (shape.length === 1) return data.fill(1);
  const [out, fanIn] = [shape[0], numel(shape) / shape[0]];
  return uniform(Math.sqrt(6 / (fanIn + out)));
}
