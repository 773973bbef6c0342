// Whether a value that is stored in a variable can be computed right there, without a copy.
import { numel, type Storage, type Tensor, type Variable } from './tensor.ts';
import type { Call } from './trace.ts';

/** A storage may move into a slab if no call reads the slab while it writes the storage, or the other way round. */
export function canLiveIn(variable: Variable, storage: Storage, calls: readonly Call[]): boolean {
  if (storage.home !== null || storage.length !== numel(variable.shape)) return false;
  const inSlab = (t: Tensor | null) => t?.storage.home?.kind === 'slab' && t.storage.home.slab === variable.slab;
  const overlaps = (t: Tensor | null): boolean => {
    const at = t?.storage.home?.kind === 'slab' ? t.storage.home.offset : Infinity;
    return at < variable.offset + storage.length && variable.offset < at + (t as Tensor).storage.length;
  };
  let written = false;
  for (const call of calls) {
    const touching = Object.entries(call.bindings).filter(([, t]) => t?.storage === storage);
    const others = Object.entries(call.bindings).filter(([, t]) => t?.storage !== storage && inSlab(t));
    const writesIt = touching.some(([k]) => call.writes.includes(k));
    if (touching.length && others.some(([k]) => call.writes.includes(k) !== writesIt)) return false;
    written ||= writesIt;
    if (written && others.some(([, t]) => overlaps(t))) return false;
  }
  return written;
}
