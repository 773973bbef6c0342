// What an encoder attends to in whole images, block by block and head by head, and rolled out over its blocks.
import type { Engine, Program } from '../engine/engine.ts';
import { fail } from '../engine/errors.ts';
import { attentionProbabilities } from '../engine/ops/attention.ts';
import type { Tensor, Variable } from '../engine/tensor.ts';
import type { Dataset } from './data/dataset.ts';
import { loadBatches } from './data/loader.ts';
import { newCapacities } from './data/pack.ts';
import { centrePlaces } from './data/sampler.ts';
import { patchesOf } from './model/config.ts';
import type { VisionEncoder } from './model/encoder.ts';
import { headMean, rolloutOf } from './render/attention.ts';
import { Preparer } from './train/prepare.ts';

/** Of which blocks, and from where, attention is looked at. */
export interface AttentionOptions {
  /** Blocks, from 0. */
  readonly layers: readonly number[];
  /** The token that attends: 0 for cls, 1 + l for patch l. */
  readonly query: number;
  /** Whether to roll out over the blocks up to each of `layers`: needs the attention of every token in all of these. */
  readonly rollout: boolean;
  /** Numbers of the images within the set; all of them unless said. */
  readonly ids?: readonly number[];
}

/** What the query takes from every token (T = 1 + L, cls first), after one block. */
export interface LayerAttention {
  readonly layer: number;
  /** (T) of every head; each sums to 1 */
  readonly heads: readonly Float32Array[];
  /** (T), sums to 1; null where it was not asked for */
  readonly rollout: Float64Array | null;
}

/** What the encoder attends to in one image. */
export interface ImageAttention {
  /** Number within the set. */
  readonly id: number;
  /** (C, H, W), normalised as the model saw it. */
  readonly img: Float32Array;
  readonly layers: readonly LayerAttention[];
}

/** By block, the attention (heads, rows, T) of the tokens from `first` on in the image of a variable (1, C, H, W), every patch of it seen. */
export function attentionProgram(
  engine: Engine,
  encoder: VisionEncoder,
  img: Variable,
  { blocks, first, rows }: { blocks: (block: number) => boolean; first: number; rows: number },
): Program<Record<never, never>, string> {
  return engine.compile({}, (_, t) => {
    const maps: Record<string, Tensor> = {};
    encoder.encodeAll(t.use(img), {
      look: (block, qkv) => {
        if (blocks(block)) maps[block] = attentionProbabilities(qkv, { heads: encoder.config.num_heads, first, rows });
      },
    });
    return maps;
  });
}

/** One image after the other: its centre, resized to the model's size, every patch seen. */
export async function* attend(
  engine: Engine,
  encoder: VisionEncoder,
  images: Dataset,
  { layers, query, rollout, ids }: AttentionOptions,
): AsyncGenerator<ImageAttention, void, undefined> {
  const { config } = encoder;
  const { depth, num_heads: heads, in_chans: chans } = config;
  const tokens = 1 + patchesOf(config);
  const wrong = layers.find((layer) => !(Number.isInteger(layer) && layer >= 0 && layer < depth));
  if (wrong !== undefined) fail(`attention: layers are 0 to ${depth - 1}, got ${wrong}`);
  if (!(Number.isInteger(query) && query >= 0 && query < tokens))
    fail(`attention: tokens are 0 (cls) to ${tokens - 1}, got ${query}`);
  const last = Math.max(...layers);
  const preparer = new Preparer(engine, config, images);
  const rows = rollout ? { first: 0, rows: tokens } : { first: query, rows: 1 };
  const blocks = (block: number): boolean => (rollout ? block <= last : layers.includes(block));
  const program = attentionProgram(engine, encoder, preparer.images(1), { blocks, ...rows });
  const [height, width] = config.img_size;
  const output = { chans, height, width };
  const order = Uint32Array.from(ids ?? Array.from({ length: images.length }, (_, i) => i));
  const place = centrePlaces(output);
  for await (const batch of loadBatches(images, { order, batchSize: 1, place, output, capacities: newCapacities() })) {
    await preparer.run(batch);
    const img = Float32Array.from(await engine.read(preparer.images(1)));
    const maps = (await (await program.run({})).read()) as Record<string, Float32Array>;
    const means = rollout ? Array.from({ length: last + 1 }, (_, block) => headMean(maps[block], heads)) : [];
    const seen = layers.map((layer): LayerAttention => {
      const rowOf = (head: number): Float32Array => {
        const at = (head * rows.rows + query - rows.first) * tokens;
        return maps[layer].slice(at, at + tokens);
      };
      return {
        layer,
        heads: Array.from({ length: heads }, (_, head) => rowOf(head)),
        rollout: rollout ? rolloutOf(means.slice(0, layer + 1), query) : null,
      };
    });
    yield { id: batch.ids[0], img, layers: seen };
  }
}
