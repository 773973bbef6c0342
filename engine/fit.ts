// The largest batch whose step has room: by planning batches, not by trying them.
import { CapacityError } from './errors.ts';

/**
 * @param bytes GPU memory that a batch needs; it throws a CapacityError where a tensor is larger than the device binds
 * @param limit bytes that there are; Infinity where that is not known, so that only bindings count
 * @param most where the search ends
 * @returns 0 where not even one image has room
 */
export function largestBatch(bytes: (batch: number) => number, limit: number, most: number): number {
  const fits = (batch: number): boolean => {
    try {
      return bytes(batch) <= limit;
    } catch (error) {
      if (error instanceof CapacityError) return false;
      throw error;
    }
  };
  let low = 0;
  let high = 1;
  while (high <= most && fits(high)) [low, high] = [high, 2 * high];
  high = Math.min(high, most + 1);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/** Sizes of the fewest parts of at most `fitting` images that a batch can be cut into: equal ones where twice as many suffice, else as equal as they can be. */
export function splitBatch(batch: number, fitting: number): number[] {
  const fewest = Math.ceil(batch / fitting);
  for (let parts = fewest; parts <= Math.min(2 * fewest, batch); parts++)
    if (batch % parts === 0) return new Array(parts).fill(batch / parts);
  return Array.from({ length: fewest }, (_, i) => Math.ceil((batch - i) / fewest));
}
