// From a trace to what will run: programs, buffers shared by lifetime, and the cost of it all, before anything is allocated.
import type { AdapterTraits } from '../kernels/kernel.ts';
import { type Program, resolve } from '../kernels/restate.ts';
import { CapacityError, fail, shapeText } from './errors.ts';
import { lodge, type Lodging, type Span } from './lodge.ts';
import type { Call, Trace } from './trace.ts';
import { bytesOf, type Slab, type Storage, type Tensor } from './tensor.ts';

export interface Step {
  readonly call: Call;
  readonly program: Program;
}

/** A transient buffer and who lives in it, one after the other. */
export interface Room {
  bytes: number;
  readonly tenants: Storage[];
}

/** What a program will run and cost at one combination of shapes, known before anything is allocated. */
export interface Plan {
  readonly steps: readonly Step[];
  readonly rooms: readonly Room[];
  /** Transients that live in a slab of gradients before these are written, and so take no room. */
  readonly lodgings: ReadonlyMap<Storage, Lodging>;
  readonly inputs: ReadonlyMap<string, { storage: Storage; shape: readonly number[] }>;
  readonly constants: readonly Storage[];
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly slabs: readonly Slab[];
  /** GPU bytes while the step runs: transients, inputs, constants, outputs' staging, and the variables that it uses. */
  readonly peakBytes: number;
  /** Bytes of transients alone. */
  readonly transientBytes: number;
  readonly flops: number;
  /** Bytes that the kernels read and write. */
  readonly traffic: number;
  readonly dispatches: number;
  /** Of these, how many run with measured settings instead of the kernels' own choice. */
  readonly picked: number;
}

export const STAGING_SLOTS = 3;
const align = (bytes: number, to = 256): number => Math.ceil(bytes / to) * to;
const roomOf = ({ dtype, length }: Storage): number => align(Math.max(4, bytesOf(dtype, length)), 16);

export function makePlan(trace: Trace, outputs: Record<string, Tensor>, traits: AdapterTraits): Plan {
  const calls = needed(trace.calls, outputs);
  const steps = calls.map((call) => ({ call, program: resolve(call.kernel, call.problem, traits) }));
  const spans = lifetimes(calls, outputs);
  const read = new Set(Object.values(outputs).map((t) => t.storage));
  const lodgings = lodge(
    calls,
    spans.filter(({ storage }) => !read.has(storage)),
  );
  const rooms = share(spans.filter(({ storage }) => !lodgings.has(storage)));
  const inputs = new Map<string, { storage: Storage; shape: readonly number[] }>();
  const constants = new Set<Storage>();
  const slabs = new Set<Slab>();
  let flops = 0;
  let traffic = 0;
  const visit = (t: Tensor): void => {
    const home = t.storage.home;
    if (home?.kind === 'slab') slabs.add(home.slab);
    else if (home?.kind === 'input') inputs.set(home.name, { storage: t.storage, shape: t.shape });
    else if (home?.kind === 'constant') constants.add(t.storage);
  };
  for (const call of calls) {
    const { kernel, problem, bindings } = call;
    refuseConflict(call);
    flops += kernel.flops(problem as never);
    for (const [name, t] of Object.entries(bindings)) {
      if (!t) continue;
      const { bytes } = t;
      if (bytes > traits.maxBindingBytes) {
        const much = `${kernel.name}: ${name} ${shapeText(t.shape)} takes ${bytes} bytes`;
        throw new CapacityError(
          `plan: ${much}, this device binds ${traits.maxBindingBytes} at most; use a smaller batch (and accumulate)`,
        );
      }
      traffic += bytes;
      visit(t);
    }
  }
  for (const t of Object.values(outputs)) visit(t);
  const sum = (list: Iterable<number>): number => [...list].reduce((a, b) => a + b, 0);
  const transientBytes = sum(rooms.map((r) => r.bytes));
  const peakBytes =
    transientBytes +
    sum([...inputs.values()].map((i) => roomOf(i.storage))) +
    sum([...constants].map(roomOf)) +
    sum([...slabs].map((s) => s.bytes)) +
    STAGING_SLOTS * sum(Object.values(outputs).map((t) => t.bytes));
  return {
    steps,
    rooms,
    lodgings,
    inputs,
    constants: [...constants],
    outputs,
    slabs: [...slabs],
    peakBytes,
    transientBytes,
    flops,
    traffic,
    dispatches: steps.length,
    picked: steps.filter(({ program }) => program.picked).length,
  };
}

/** WebGPU refuses a dispatch that reads a buffer and writes it, even in separate ranges. */
function refuseConflict({ kernel, bindings, writes }: Call): void {
  const bufferOf = (name: string): object | undefined => {
    const storage = bindings[name]?.storage;
    return storage?.home?.kind === 'slab' ? storage.home.slab : storage;
  };
  for (const read of Object.keys(bindings).filter((name) => bindings[name] && !writes.includes(name))) {
    const write = writes.find((name) => bufferOf(name) === bufferOf(read));
    if (write) fail(`${kernel.name}: ${read} must not lie in the buffer that ${write} is written to; copy it first`);
  }
}

/** Without what was computed again (trace.checkpoint) and then read by nothing. */
function needed(calls: readonly Call[], outputs: Record<string, Tensor>): Call[] {
  const read = new Set<Storage>(Object.values(outputs).map((t) => t.storage));
  const kept: Call[] = [];
  for (const call of [...calls].reverse()) {
    const { bindings, writes } = call;
    if (
      call.again &&
      !writes.some((name) => bindings[name]?.storage.home || read.has((bindings[name] as Tensor).storage))
    )
      continue;
    kept.push(call);
    for (const t of Object.values(bindings)) if (t) read.add(t.storage);
  }
  return kept.reverse();
}

/** First and last call that touches each storage without a home; outputs live to the end. */
function lifetimes(calls: readonly Call[], outputs: Record<string, Tensor>): Span[] {
  const spans = new Map<Storage, Span>();
  const touch = (storage: Storage, at: number): void => {
    if (storage.home) return;
    const span = spans.get(storage);
    if (span) span.last = at;
    else spans.set(storage, { storage, first: at, last: at });
  };
  calls.forEach((call, at) => {
    for (const t of Object.values(call.bindings)) if (t) touch(t.storage, at);
  });
  for (const t of Object.values(outputs)) touch(t.storage, calls.length);
  return [...spans.values()];
}

/**
 * Buffers shared by lifetime, greedily by size: the largest first, each into the fullest buffer that is free for its
 * whole life. Whole buffers and not ranges of an arena, because Dawn tracks hazards per buffer.
 */
function share(spans: Span[]): Room[] {
  const rooms: (Room & { spans: Span[] })[] = [];
  const bySize = [...spans].sort((a, b) => roomOf(b.storage) - roomOf(a.storage) || a.first - b.first);
  for (const span of bySize) {
    const free = (room: { spans: Span[] }): boolean =>
      room.spans.every((s) => s.last < span.first || s.first > span.last);
    let room = rooms.filter(free).at(-1);
    if (!room) {
      room = { bytes: roomOf(span.storage), tenants: [], spans: [] };
      rooms.push(room);
    }
    room.tenants.push(span.storage);
    room.spans.push(span);
  }
  return rooms;
}
