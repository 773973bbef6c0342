// How far numbers are from what they should be.

/** Norm of the difference over norm of the reference; the difference alone where the reference is 0. */
export function relative(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) throw new Error(`${got.length} numbers beside ${want.length}`);
  let [off, norm] = [0, 0];
  for (let i = 0; i < want.length; i++) {
    off += (got[i] - want[i]) ** 2;
    norm += want[i] ** 2;
  }
  return norm === 0 ? Math.sqrt(off) : Math.sqrt(off / norm);
}
