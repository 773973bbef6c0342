// Token gathering in plain f64 loops: the oracle of every gather kernel.

interface Sizes {
  batch: number;
  patches: number;
  keep: number;
  dim: number;
}
type A = Float64Array;
type Ids = Uint32Array;
type Grouped = Omit<Sizes, 'patches'> & { groups: number };

/** Row `i` of the matrices that `a` stacks. */
const row = (a: A, i: number, dim: number): A => a.subarray(i * dim, (i + 1) * dim);

function add(to: A, from: A): void {
  for (const [c, v] of from.entries()) to[c] += v;
}

export function embed(
  { emb, pos, cls, ids_keep, x }: { emb: A; pos: A; cls: A; ids_keep: Ids; x: A },
  { batch, keep, dim }: Sizes,
): void {
  for (let b = 0; b < batch; b++) {
    for (let s = 0; s <= keep; s++) {
      const out = row(x, b * (1 + keep) + s, dim);
      out.set(s === 0 ? cls : row(emb, b * keep + s - 1, dim));
      add(out, row(pos, s === 0 ? 0 : 1 + ids_keep[b * keep + s - 1], dim));
    }
  }
}

export function dembed({ dx, demb }: { dx: A; demb: A }, { batch, keep, dim }: Omit<Sizes, 'patches'>): void {
  for (let b = 0; b < batch; b++) {
    for (let j = 0; j < keep; j++) row(demb, b * keep + j, dim).set(row(dx, b * (1 + keep) + 1 + j, dim));
  }
}

export function dcls({ dx, dcls }: { dx: A; dcls: A }, { batch, keep, dim, groups }: Grouped): void {
  const run = Math.ceil(batch / groups);
  for (let b = 0; b < batch; b++) add(row(dcls, Math.floor(b / run), dim), row(dx, b * (1 + keep), dim));
}

export function dpos(
  { dx, ids_restore, dpos }: { dx: A; ids_restore: Ids; dpos: A },
  { batch, patches, keep, dim }: Sizes,
): void {
  for (let b = 0; b < batch; b++) {
    add(row(dpos, 0, dim), row(dx, b * (1 + keep), dim));
    for (let l = 0; l < patches; l++) {
      const rank = ids_restore[b * patches + l];
      if (rank < keep) add(row(dpos, 1 + l, dim), row(dx, b * (1 + keep) + 1 + rank, dim));
    }
  }
}

export function restore(
  { y, mask_token, pos, ids_restore, x }: { y: A; mask_token: A; pos: A; ids_restore: Ids; x: A },
  { batch, patches, keep, dim }: Sizes,
): void {
  for (let b = 0; b < batch; b++) {
    const tokens = [row(y, b * (1 + keep), dim)];
    for (let l = 0; l < patches; l++) {
      const rank = ids_restore[b * patches + l];
      tokens.push(rank < keep ? row(y, b * (1 + keep) + 1 + rank, dim) : mask_token);
    }
    for (const [s, token] of tokens.entries()) {
      const out = row(x, b * (1 + patches) + s, dim);
      out.set(token);
      add(out, row(pos, s, dim));
    }
  }
}

export function drestore(
  { dx, ids_shuffle, dy }: { dx: A; ids_shuffle: Ids; dy: A },
  { batch, patches, keep, dim }: Sizes,
): void {
  for (let b = 0; b < batch; b++) {
    row(dy, b * (1 + keep), dim).set(row(dx, b * (1 + patches), dim));
    for (let j = 0; j < keep; j++) {
      const l = ids_shuffle[b * patches + j];
      row(dy, b * (1 + keep) + 1 + j, dim).set(row(dx, b * (1 + patches) + 1 + l, dim));
    }
  }
}

export function dmask(
  { dx, ids_shuffle, dmask_token }: { dx: A; ids_shuffle: Ids; dmask_token: A },
  { batch, patches, keep, dim, groups }: Sizes & { groups: number },
): void {
  const rows: A[] = [];
  for (let b = 0; b < batch; b++) {
    for (let j = keep; j < patches; j++) rows.push(row(dx, b * (1 + patches) + 1 + ids_shuffle[b * patches + j], dim));
  }
  const run = Math.ceil(rows.length / groups);
  for (const [r, from] of rows.entries()) add(row(dmask_token, Math.floor(r / run), dim), from);
}

interface RowSizes {
  batch: number;
  rows: number;
  count: number;
  dim: number;
}

export function rows({ x, ids, y }: { x: A; ids: Ids; y: A }, { batch, rows, count, dim }: RowSizes): void {
  for (let b = 0; b < batch; b++) {
    for (let j = 0; j < count; j++) row(y, b * count + j, dim).set(row(x, b * rows + ids[b * count + j], dim));
  }
}

export function drows(
  { dy, inverse, dx }: { dy: A; inverse: Ids; dx: A },
  { batch, rows, count, dim }: RowSizes,
): void {
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < rows; i++) {
      const j = inverse[b * rows + i];
      if (j < count) row(dx, b * rows + i, dim).set(row(dy, b * count + j, dim));
    }
  }
}
