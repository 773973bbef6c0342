// Transients that live in slabs until these are written: gradients take their room late in a step, when most activations are gone. A run is
// submitted whole, so only an inspection can end while they are there.
import { bytesOf, numel, type Slab, type Storage } from './tensor.ts';
import type { Call } from './trace.ts';

/** First and last call that touches a storage. */
export interface Span {
  readonly storage: Storage;
  first: number;
  last: number;
}

/** Where in a slab a transient lives, in bytes. */
export interface Lodging {
  readonly slab: Slab;
  readonly offset: number;
  readonly bytes: number;
}

/** Bytes [from, to) of a slab that no call reads before the call `until` has written them all. */
interface Vacancy {
  readonly from: number;
  to: number;
  readonly until: number;
}

/** Bindings begin at multiples of so many bytes. */
const ALIGNMENT = 256;
const alignUp = (n: number): number => Math.ceil(n / ALIGNMENT) * ALIGNMENT;

/**
 * Lodgings for storages of a plan's fullest moment, the largest first: only they make a step's memory smaller. A slab takes some only if it
 * `lends`, in ranges that the calls write before they read them, and if no call would then read its buffer and write it.
 */
export function lodge(calls: readonly Call[], spans: readonly Span[]): Map<Storage, Lodging> {
  const lodgings = new Map<Storage, Lodging>();
  const lenders = new Set<Slab>();
  const touches = new Map<object, Use[]>();
  calls.forEach(({ bindings, writes }, at) => {
    for (const [name, t] of Object.entries(bindings)) {
      if (!t) continue;
      const { storage } = t;
      const slab = storage.home?.kind === 'slab' ? storage.home.slab : null;
      if (slab?.lends) lenders.add(slab);
      const list = touches.get(slab ?? storage) ?? [];
      list.push({ at, write: writes.includes(name) });
      touches.set(slab ?? storage, list);
    }
  });
  for (const slab of lenders) {
    const vacancies = vacanciesOf(slab, calls);
    const guests: { span: Span; from: number; to: number }[] = [];
    // WebGPU refuses a dispatch that reads a buffer and writes it, even in separate ranges.
    const writes = new Map((touches.get(slab) ?? []).map(({ at, write }) => [at, write]));
    for (const span of fullest(spans.filter(({ storage }) => !lodgings.has(storage)))) {
      const own = touches.get(span.storage) ?? [];
      if (own.some(({ at, write }) => (writes.get(at) ?? write) !== write)) continue;
      const bytes = bytesOf(span.storage.dtype, span.storage.length);
      const beside = guests.filter((g) => g.span.first <= span.last && span.first <= g.span.last);
      const from = place(bytes, stretches(vacancies, span.last), beside);
      if (from === null) continue;
      guests.push({ span, from, to: from + bytes });
      for (const { at, write } of own) writes.set(at, write);
      lodgings.set(span.storage, { slab, offset: from, bytes });
    }
  }
  return lodgings;
}

/** That a call binds something to read or to write it. */
interface Use {
  readonly at: number;
  readonly write: boolean;
}

/** What is vacant from the beginning on, in order of place. What nothing touches stays as it is. */
function vacanciesOf(slab: Slab, calls: readonly Call[]): Vacancy[] {
  const touched: { from: number; to: number }[] = [];
  const vacancies: Vacancy[] = [];
  calls.forEach(({ kernel, bindings, writes }, until) => {
    for (const [name, t] of Object.entries(bindings)) {
      const { home } = t?.storage ?? {};
      if (!t || home?.kind !== 'slab' || home.slab !== slab) continue;
      const from = bytesOf(slab.dtype, home.offset);
      const to = from + bytesOf(slab.dtype, numel(t.shape));
      const fresh = touched.every((other) => to <= other.from || other.to <= from);
      touched.push({ from, to });
      if (fresh && writes.includes(name) && !kernel.inout.includes(name)) vacancies.push({ from, to, until });
    }
  });
  return vacancies.sort((a, b) => a.from - b.from);
}

/** Runs of neighbours that stay vacant until after the call `last`. */
function stretches(vacancies: readonly Vacancy[], last: number): { from: number; to: number }[] {
  const runs: { from: number; to: number }[] = [];
  for (const { from, to, until } of vacancies) {
    if (until <= last) continue;
    const run = runs.at(-1);
    if (run?.to === from) run.to = to;
    else runs.push({ from, to });
  }
  return runs;
}

/** The first place for so many bytes; null where there is none. */
function place(
  bytes: number,
  runs: readonly { from: number; to: number }[],
  taken: readonly { from: number; to: number }[],
): number | null {
  const order = [...taken].sort((a, b) => a.from - b.from);
  for (const run of runs) {
    let from = alignUp(run.from);
    for (const other of order) {
      if (other.to <= from || other.from >= run.to) continue;
      if (from + bytes <= other.from) break;
      from = alignUp(other.to);
    }
    if (from + bytes <= run.to) return from;
  }
  return null;
}

/** Those that live when the most do, the largest first. */
function fullest(spans: readonly Span[]): Span[] {
  const change = new Map<number, number>();
  for (const { storage, first, last } of spans) {
    const bytes = bytesOf(storage.dtype, storage.length);
    change.set(first, (change.get(first) ?? 0) + bytes);
    change.set(last + 1, (change.get(last + 1) ?? 0) - bytes);
  }
  let [live, most, when] = [0, 0, 0];
  for (const [at, bytes] of [...change].sort(([a], [b]) => a - b)) {
    live += bytes;
    if (live > most) [most, when] = [live, at];
  }
  return spans
    .filter(({ first, last }) => first <= when && when <= last)
    .sort((a, b) => bytesOf(b.storage.dtype, b.storage.length) - bytesOf(a.storage.dtype, a.storage.length));
}
