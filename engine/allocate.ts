// The buffers of a plan, asked of whoever makes them: the device's memory, or a forecast that only counts.
import { packParams } from '../kernels/restate.ts';
import { type Plan, STAGING_SLOTS, type Step } from './plan.ts';
import { bytesOf, type Slab, type Storage } from './tensor.ts';

/** GPUBufferUsage by name (the global exists only after Dawn or a browser defined it). */
export const USAGE = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, UNIFORM: 64, STORAGE: 128 } as const;
const STORED = USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST;

export interface Sized {
  readonly size: number;
}

export interface Buffers<B extends Sized> {
  create(label: string, bytes: number, usage: number): B;
  /** Transients: one for every size, each at least as large; plans run one after the other and so share them. */
  borrow(sizes: readonly number[]): B[];
  slab(slab: Slab): B;
}

/** WebGPU's sizes are multiples of 4, ours of 16. */
export const bufferBytes = (bytes: number): number => Math.ceil(Math.max(16, bytes) / 16) * 16;

/** From a pool, the smallest free buffer that is large enough for each size, largest first; what lacks is made and stays in the pool. */
export function borrowFrom<B extends Sized>(pool: B[], sizes: readonly number[], create: Buffers<B>['create']): B[] {
  const taken = new Set<B>();
  const order = sizes.map((bytes, i) => ({ bytes, i })).sort((a, b) => b.bytes - a.bytes);
  const result: B[] = [];
  for (const { bytes, i } of order) {
    const fits = pool.filter((b) => b.size >= bytes && !taken.has(b)).sort((a, b) => a.size - b.size)[0];
    const buffer = fits ?? create('transient', bytes, STORED);
    if (!fits) pool.push(buffer);
    taken.add(buffer);
    result[i] = buffer;
  }
  return result;
}

/** The parameters of all dispatches in one uniform buffer, equal ones once. */
interface Params {
  readonly arena: Uint8Array;
  /** Where each step's begin. */
  readonly offsets: readonly number[];
}

const UNIFORM_ALIGNMENT = 256;

export function layoutParams(steps: readonly Step[]): Params {
  const slots = new Map<string, { at: number; bytes: Uint8Array }>();
  const offsets = steps.map(({ call, program }) => {
    const bytes = new Uint8Array(packParams(program.wgsl, call.problem));
    if (bytes.length === 0) return 0;
    const key = String(bytes);
    const slot = slots.get(key) ?? { at: slots.size * UNIFORM_ALIGNMENT, bytes };
    slots.set(key, slot);
    return slot.at;
  });
  const arena = new Uint8Array(Math.max(1, slots.size) * UNIFORM_ALIGNMENT);
  for (const { at, bytes } of slots.values()) arena.set(bytes, at);
  return { arena, offsets };
}

interface Allocated<B> {
  /** Of every transient storage. */
  readonly transients: ReadonlyMap<Storage, B>;
  readonly inputs: ReadonlyMap<string, B>;
  readonly constants: ReadonlyMap<Storage, B>;
  readonly uniform: B;
  /** For outputs on their way to the host; none where there are no outputs. */
  readonly staging: readonly B[];
}

/** Everything that a plan needs beside the slabs, which are made at first use, too. */
export function allocate<B extends Sized>(plan: Plan, params: Params, to: Buffers<B>): Allocated<B> {
  for (const slab of plan.slabs) to.slab(slab);
  const rooms = to.borrow(plan.rooms.map((room) => room.bytes));
  const transients = new Map(plan.rooms.flatMap(({ tenants }, i) => tenants.map((t) => [t, rooms[i]] as const)));
  const inputs = new Map<string, B>();
  for (const [name, { storage }] of plan.inputs)
    inputs.set(name, to.create(`input ${name}`, bytesOf(storage.dtype, storage.length), STORED));
  const constants = new Map(plan.constants.map((s) => [s, to.create('constant', s.length * 4, STORED)]));
  const uniform = to.create('params', params.arena.byteLength, USAGE.UNIFORM | USAGE.COPY_DST);
  const bytes = Object.values(plan.outputs).reduce((sum, t) => sum + t.bytes, 0);
  const staging = Array.from({ length: bytes ? STAGING_SLOTS : 0 }, (_, i) =>
    to.create(`staging ${i}`, bytes, USAGE.MAP_READ | USAGE.COPY_DST),
  );
  return { transients, inputs, constants, uniform, staging };
}
