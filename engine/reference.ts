// Runs a trace on the kernels' plain f64 references: the oracle for gradients and for whole models. Needs no GPU.
import { fail } from './errors.ts';
import type { Slab, Storage, Tensor } from './tensor.ts';
import type { Trace } from './trace.ts';

type Numbers = Float64Array | Uint32Array | Int32Array;

const make = (dtype: string, n: number): Numbers =>
  dtype === 'f32' || dtype === 'f16' ? new Float64Array(n) : dtype === 'u32' ? new Uint32Array(n) : new Int32Array(n);

/** Values of slabs in f64, kept from run to run. */
export type ReferenceMemory = Map<Slab, Numbers>;

/** Executes every call; gives the outputs' numbers. Slabs that the memory lacks start as zeros. */
export function runReference<K extends string>(
  trace: Trace,
  outputs: Record<K, Tensor>,
  inputs: Record<string, ArrayLike<number>>,
  memory: ReferenceMemory = new Map(),
): Record<K, Numbers> {
  const transients = new Map<Storage, Numbers>();
  const of = (storage: Storage): Numbers => {
    const home = storage.home;
    if (home?.kind === 'slab') {
      let slab = memory.get(home.slab);
      if (!slab) memory.set(home.slab, (slab = make(storage.dtype, home.slab.length)));
      return slab.subarray(home.offset, home.offset + storage.length);
    }
    let data = transients.get(storage);
    if (!data) {
      data = make(storage.dtype, storage.length);
      if (home?.kind === 'constant') data.set(home.data);
      if (home?.kind === 'input') {
        const given = inputs[home.name] ?? fail(`reference: input ${home.name} is missing`);
        if (given.length !== storage.length)
          fail(`reference: input ${home.name} must have ${storage.length} numbers, got ${given.length}`);
        data.set(Array.from(given));
      }
      transients.set(storage, data);
    }
    return data;
  };
  for (const { kernel, problem, bindings, writes } of trace.calls) {
    // References add into outputs that start at zero; a slab keeps the last run's numbers.
    for (const name of writes) if (!kernel.inout.includes(name)) of((bindings[name] as Tensor).storage).fill(0);
    const arrays = Object.fromEntries(
      Object.entries(kernel.bindings).map(([name, b]) => {
        const tensor = bindings[name];
        return [name, tensor ? of(tensor.storage) : make((b as { type: string }).type, 0)];
      }),
    );
    kernel.reference(arrays as never, problem as never);
  }
  const entries = Object.entries(outputs) as [K, Tensor][];
  return Object.fromEntries(entries.map(([name, t]) => [name, of(t.storage).slice()])) as Record<K, Numbers>;
}
