// A program for someone else's command encoder: inputs and outputs are buffers, nothing is submitted, nothing read back.
import { USAGE } from './allocate.ts';
import type { Memory } from './memory.ts';
import type { Plan } from './plan.ts';
import type { Place } from './replay.ts';
import type { DType, Shape, Tensor } from './tensor.ts';

/** A result that stays on the device. */
export interface Output {
  /** Holds the elements from its start on; may be bound, copied from and written over, and lives as long as the engine. */
  readonly buffer: GPUBuffer;
  readonly shape: Shape;
  readonly dtype: DType;
}

/** A program at fixed shapes, to be encoded by whoever owns the command encoder. */
export interface Recorded<N extends string, K extends string> {
  /** Where the inputs are read from: write them, or let earlier commands do it. Elements are of the input's dtype. */
  readonly inputs: Readonly<Record<N, GPUBuffer>>;
  readonly outputs: Readonly<Record<K, Output>>;
  /**
   * Appends one compute pass and the copies of its outputs; submits nothing and waits for nothing. `outputs` hold the
   * results once the encoder's commands have run, until they run again.
   */
  encode(encoder: GPUCommandEncoder): void;
}

/** Makes buffers for the plan's outputs. `dispatchAll` encodes the plan's dispatches. */
export function makeRecorded<K extends string>(
  plan: Plan,
  memory: Memory,
  place: Place,
  inputs: ReadonlyMap<string, GPUBuffer>,
  dispatchAll: (pass: GPUComputePassEncoder) => void,
): Recorded<string, K> {
  const usage = USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST;
  const outputs = (Object.entries(plan.outputs) as [K, Tensor][]).map(
    ([name, { bytes, shape, dtype }]) =>
      [name, { buffer: memory.create(`output ${name}`, bytes, usage), shape, dtype }] as const,
  );
  const encode = (encoder: GPUCommandEncoder): void => {
    memory.check();
    const pass = encoder.beginComputePass({ label: 'step' });
    dispatchAll(pass);
    pass.end();
    for (const [name, { buffer }] of outputs) {
      const { storage, bytes } = plan.outputs[name];
      const from = place(storage);
      encoder.copyBufferToBuffer(from.buffer, from.offset, buffer, 0, bytes);
    }
  };
  return { inputs: Object.fromEntries(inputs), outputs: Object.fromEntries(outputs) as Record<K, Output>, encode };
}
