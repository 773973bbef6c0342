// --init: a run that begins with the weights of a checkpoint, its optimizer and schedule fresh.
import { fail } from '../../engine/errors.ts';
import { adaptedText, adaptWeights, type Source } from '../model/adapt.ts';
import { type MaeConfig, parameterSpecs } from '../model/config.ts';
import { initialWeights } from '../model/init.ts';
import { loadWeights } from '../weights/node.ts';
import type { ReadOptions } from '../weights/take.ts';
import type { Reporter } from './reporter.ts';

/** The one place where weights to begin with are read: an autoencoder's, or an encoder's alone, of any format. */
const loadSource = (path: string, options: ReadOptions): Promise<Source> => loadWeights(path, options);

/** Of a checkpoint that a run begins with: the flags that need not be said again, where no --model says other sizes. */
export async function sizesOf(path: string): Promise<Record<string, unknown>> {
  const { config } = await loadSource(path, { sizesOnly: true });
  const { img_size, patch_size, embed_dim, depth, num_heads, objective = 'mae', pos_embed = 'sincos' } = config;
  const { decoder_embed_dim, decoder_depth, decoder_num_heads } = config;
  const decoder = { decoder_embed_dim, decoder_depth, decoder_num_heads, objective };
  return { input_size: img_size, patch_size, embed_dim, depth, num_heads, pos_embed, ...decoder };
}

/** Weights to begin with: of a seed, or with `init` those of a checkpoint; a line says what became of each. */
export async function beginningWeights(
  config: MaeConfig,
  { init, seed }: { readonly init: string; readonly seed: number },
  { note, fetching: progress }: Pick<Reporter, 'note' | 'fetching'>,
): Promise<ReadonlyMap<string, Float32Array>> {
  const fresh = initialWeights(config, seed);
  if (!init) return fresh;
  const source = await loadSource(init, { progress });
  const adapted = adaptWeights(config, parameterSpecs(config), fresh, source);
  if (!adapted.taken.length) fail(`init: nothing of ${init} fits this model`);
  note(`init: ${init}: ${adaptedText(adapted)}`);
  if (source.config.ln_eps !== config.ln_eps)
    note(`init: its layer norms had eps ${source.config.ln_eps}, this run's have ${config.ln_eps}`);
  return adapted.weights;
}
