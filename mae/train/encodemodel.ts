// The bytes of model files: weights under the reference's names, the optimizer's state beside them, and metadata. modelfile.ts reads them.
import { fail } from '../../engine/errors.ts';
import { toHalves } from '../../engine/half.ts';
import type { ParameterSpec } from '../../engine/parameters.ts';
import { type RawTensor, rawTensor } from '../../engine/rawtensor.ts';
import { writeSafetensors } from '../../engine/safetensors-write.ts';
import { parameterSpecs } from '../model/config.ts';
import { VERSION } from '../version.ts';
import type { Checkpoint } from './checkpoint.ts';
import { FORMAT, type OptimizerState, type Task } from './modelfile.ts';

export interface Stored {
  readonly specs: readonly ParameterSpec[];
  readonly weights: ReadonlyMap<string, Float32Array>;
  readonly optimizer: OptimizerState | null;
  /** Averages of the weights (EMA), by the same names. */
  readonly averages?: ReadonlyMap<string, Float32Array> | null;
  /** Tensors besides, under names that no parameter has. */
  readonly besides?: readonly (readonly [string, RawTensor])[];
  /** Weights as f16: half the bytes, 11 bits of each. */
  readonly half?: boolean;
}

/** The file in chunks, as `writeSafetensors` gives them. Metadata that is not text goes in as JSON; null is left out. */
export function encodeModel(
  { specs, weights, optimizer, averages, besides = [], half = false }: Stored,
  task: Task,
  metadata: Readonly<Record<string, unknown>>,
): Uint8Array[] {
  const tensors: (readonly [string, RawTensor])[] = [];
  for (const { name, shape } of specs) {
    const add = (prefix: string, data: Float32Array | undefined): void => {
      if (!data) return;
      tensors.push([prefix + name, half ? rawTensor('F16', shape, toHalves(data)) : rawTensor('F32', shape, data)]);
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
  return writeSafetensors([...tensors, ...besides], texts);
}

/** A checkpoint of pretraining, wherever it was trained. */
export const encodeCheckpoint = (c: Checkpoint): Uint8Array[] =>
  encodeModel({ specs: parameterSpecs(c.config), ...c }, 'pretrain', {
    config: c.config,
    data: c.data,
    target: c.config.norm_pix_loss ? 'normalised pixels' : 'pixels',
    mask_ratio: String(c.maskRatio),
    training: c.training,
  });
