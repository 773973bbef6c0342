// RandAugment's operations on bytes, pixel by pixel.
export interface Sizes {
  batch: number;
  chans: number;
  height: number;
  width: number;
  words: number;
  slot: number;
  slots: number;
}
type Bytes = (x: number, y: number, c: number) => number;

const clip = (v: number): number => Math.trunc(Math.min(255, Math.max(0, v)));
/** Pillow's blend of two bytes, in f32 as there. */
const blended = (low: number, high: number, factor: number): number =>
  clip(Math.fround(low + Math.fround(Math.fround(factor) * (high - low))));
const grey = (at: Bytes, x: number, y: number, chans: number): number =>
  chans < 3 ? at(x, y, 0) : (19595 * at(x, y, 0) + 38470 * at(x, y, 1) + 7471 * at(x, y, 2) + 32768) >> 16;

function bytesOf(bytes: Uint32Array, image: number, { chans, height, width, words }: Sizes): Bytes {
  const all = new Uint8Array(Uint32Array.from(bytes.subarray(image * words, (image + 1) * words)).buffer);
  const within = (v: number, n: number): number => Math.min(n - 1, Math.max(0, v));
  return (x, y, c) => all[(within(y, height) * width + within(x, width)) * chans + c];
}

export function lut(
  { bytes, plan, lut: out }: { bytes: Uint32Array; plan: Float64Array; lut: Uint32Array },
  sizes: Sizes,
): void {
  const { batch, chans, height, width, slot, slots } = sizes;
  for (let image = 0; image < batch; image++) {
    const at = bytesOf(bytes, image, sizes);
    const [operation, value] = plan.subarray((image * slots + slot) * 8);
    let greys = 0;
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) greys += grey(at, x, y, chans);
    const mean = Math.floor(greys / (height * width) + 0.5);
    for (let c = 0; c < chans; c++) {
      const counts = new Array<number>(256).fill(0);
      for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) counts[at(x, y, c)]++;
      const used = counts.flatMap((n, v) => (n ? [v] : []));
      const [low, high] = [used[0], used[used.length - 1]];
      const step = Math.floor((height * width - counts[high]) / 255);
      let below = Math.floor(step / 2);
      for (let v = 0; v < 256; v++) {
        let y = v;
        if (operation === 1 && high > low) y = clip(((v - low) * 255) / (high - low));
        if (operation === 2 && used.length > 1 && step > 0) y = Math.min(255, Math.floor(below / step));
        below += counts[v];
        if (operation === 3) y = 255 - v;
        if (operation === 4) y = v & (0xff << (8 - Math.min(8, value)));
        if (operation === 5) y = v < value ? v : 255 - v;
        if (operation === 6) y = v < 128 ? Math.min(255, v + value) : v;
        if (operation === 7) y = blended(mean, v, value);
        if (operation === 8) y = blended(0, v, value);
        out[(image * chans + c) * 256 + v] = y;
      }
    }
  }
}

function cubic([a, b, c, d]: readonly number[], t: number): number {
  return b + t * (c - a + t * (2 * (a - b) + c - d + t * (b - a - c + d)));
}

function warped(at: Bytes, x: number, y: number, c: number, m: ArrayLike<number>, fill: number, sizes: Sizes): number {
  const { height, width } = sizes;
  const [xin, yin] = [x + 0.5, y + 0.5];
  const [u, v] = [m[0] * xin + m[1] * yin + m[2], m[3] * xin + m[4] * yin + m[5]];
  if (u < 0 || u >= width || v < 0 || v >= height) return fill;
  const [column, row] = [Math.floor(u - 0.5), Math.floor(v - 0.5)];
  const line = (r: number): number =>
    cubic(
      [-1, 0, 1, 2].map((i) => at(column + i, r, c)),
      u - 0.5 - column,
    );
  const rows: number[] = [line(row - 1)];
  for (const r of [row, row + 1, row + 2]) rows.push(r >= 0 && r < height ? line(r) : rows[rows.length - 1]);
  return clip(cubic(rows, v - 0.5 - row));
}

export function apply(
  arrays: { bytes: Uint32Array; plan: Float64Array; lut: Uint32Array; fill: Uint32Array; out: Uint32Array },
  sizes: Sizes,
): void {
  const { bytes, plan, lut: tables, fill, out } = arrays;
  const { batch, chans, height, width, words, slot, slots } = sizes;
  for (let image = 0; image < batch; image++) {
    const at = bytesOf(bytes, image, sizes);
    const entry = plan.subarray((image * slots + slot) * 8);
    const [operation, value] = entry;
    const made = new Uint8Array(4 * words);
    for (let i = 0; i < height * width * chans; i++) {
      const c = i % chans;
      const [x, y] = [Math.floor(i / chans) % width, Math.floor(i / chans / width)];
      const own = at(x, y, c);
      if (operation === 0) made[i] = own;
      else if (operation === 9) made[i] = blended(grey(at, x, y, chans), own, value);
      else if (operation === 10) {
        const edge = x === 0 || y === 0 || x + 1 >= width || y + 1 >= height;
        let sum = 4 * own;
        for (const dy of [-1, 0, 1]) for (const dx of [-1, 0, 1]) sum += at(x + dx, y + dy, c);
        made[i] = blended(edge ? own : Math.floor(sum / 13 + 0.5), own, value);
      } else if (operation === 11) made[i] = warped(at, x, y, c, entry.subarray(2), fill[c], sizes);
      else made[i] = tables[(image * chans + c) * 256 + own];
    }
    out.set(new Uint32Array(made.buffer), image * words);
  }
}
