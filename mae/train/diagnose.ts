// Where a number that is none comes from: the first tensor of a training step that holds an infinity or a NaN.
import type { InputTypes } from '../../engine/engine.ts';
import { readVariables } from '../../engine/parameters.ts';
import type { DType, Tensor, Variable } from '../../engine/tensor.ts';
import type { BatchSource, Trainer } from '../../engine/trainer.ts';
import type { Checkpointed } from './setup.ts';

/** By exponent bits, all ones: what is true of NaN is true of signalling ones, too. Integers are finite. */
export function allFinite(data: ArrayBufferLike, dtype: DType): boolean {
  if (dtype === 'f16') return new Uint16Array(data).every((bits) => (bits & 0x7c00) !== 0x7c00);
  return dtype !== 'f32' || finiteBits(new Uint32Array(data));
}

function finiteBits(words: Uint32Array): boolean {
  for (let i = 0; i < words.length; i++) if ((words[i] & 0x7f800000) === 0x7f800000) return false;
  return true;
}

type Values = ReadonlyMap<string, Float32Array>;
const firstOf = (values: Values): string | undefined =>
  [...values].find(([, v]) => !finiteBits(new Uint32Array(v.buffer, v.byteOffset, v.length)))?.[0];

/** Of what a run keeps, the first tensor that is not finite; null where all is well. Moments first: weights follow from them. */
export function ruinedIn({ optimizer, weights }: Pick<Checkpointed, 'optimizer' | 'weights'>): string | null {
  for (const [slot, values] of Object.entries(optimizer?.slots ?? {})) {
    const found = firstOf(values);
    if (found) return `${optimizer?.name}.${slot}.${found}`;
  }
  return firstOf(weights) ?? null;
}

export interface Found {
  readonly name: string;
  /** It is a weight or a moment: no later step will be better. */
  readonly stays: boolean;
}

/** Looks through weights and moments, then computes the step again call by call; null where all is finite this time. */
export async function firstNonFinite<I extends InputTypes>(
  trainer: Pick<Trainer<I>, 'engine' | 'optimizer' | 'inspect'>,
  sources: readonly BatchSource<I>[],
  weights: readonly number[],
): Promise<Found | null> {
  const { engine, optimizer } = trainer;
  const slots: Record<string, Values> = {};
  for (const [slot, mirror] of Object.entries(optimizer.slots))
    slots[slot] = await readVariables(engine, new Map([...mirror].map(([p, kept]) => [p.name, kept])));
  const state = { name: optimizer.name, slots, step: 0, lossScale: null };
  const name = ruinedIn({ optimizer: state, weights: await optimizer.parameters.read() });
  if (name) return { name, stays: true };
  const known = [...optimizer.parameters.variables.values(), ...optimizer.gradients.values()];
  let found: string | null = null;
  let near = '';
  await trainer.inspect(
    sources,
    async ({ kernel, bindings, writes }, read) => {
      const bad = async (t: Tensor | null): Promise<boolean> => t !== null && !allFinite(await read(t), t.dtype);
      const reads = Object.entries(bindings).filter(([binding]) => !writes.includes(binding));
      near = reads.map(([, t]) => t && parameterOf(t, known)?.name).find(Boolean) ?? near;
      for (const binding of writes) {
        if (!(await bad(bindings[binding]))) continue;
        // All that was written before is finite: what is bad and was read here came from outside.
        for (const [, t] of reads) if (await bad(t)) found ??= outside(t as Tensor, known);
        found ??= `${binding} of ${kernel.name}${near && ` at ${near}`}`;
        return true;
      }
      return false;
    },
    weights,
  );
  return found ? { name: found, stays: false } : null;
}

function parameterOf({ storage: { home } }: Tensor, known: readonly Variable[]): Variable | undefined {
  return home?.kind === 'slab'
    ? known.find(({ slab, offset }) => (slab === home.slab || slab.half === home.slab) && offset === home.offset)
    : undefined;
}

function outside(t: Tensor, known: readonly Variable[]): string {
  const { home } = t.storage;
  if (home?.kind === 'slab') return parameterOf(t, known)?.name ?? home.slab.label;
  return home?.kind === 'input' ? `input ${home.name}` : 'a constant';
}
