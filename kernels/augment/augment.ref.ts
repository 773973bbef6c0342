// PIL's bicubic resize in plain integer loops, with its own coefficients: the oracle of both augment kernels.

const PRECISION = 22;

/** One output pixel's inputs: the first, and the weight of each in 1 / 2^22. */
function weightsAt(i: number, from: number, to: number): { first: number; weights: number[] } {
  if (from === to) return { first: i, weights: [1 << PRECISION] };
  const a = -0.5;
  const cubic = (x: number): number => {
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
  };
  const scale = from / to;
  const filter = Math.max(1, scale);
  const center = (i + 0.5) * scale;
  const first = Math.max(0, Math.trunc(center - 2 * filter + 0.5));
  const end = Math.min(from, Math.trunc(center + 2 * filter + 0.5));
  const raw: number[] = [];
  for (let x = first; x < end; x++) raw.push(cubic(Math.abs((x - center + 0.5) * (1 / filter))));
  const sum = raw.reduce((s, v) => s + v, 0);
  return { first, weights: raw.map((v) => (v < 0 ? -1 : 1) * Math.floor(Math.abs(v / sum) * 2 ** PRECISION + 0.5)) };
}

const clip = (sum: number): number => Math.min(255, Math.max(0, Math.floor(sum / 2 ** PRECISION)));

/** Resizes the lines of (height, from, chans) bytes to (height, to, chans). */
export function resizeAcross(
  src: ArrayLike<number>,
  height: number,
  from: number,
  chans: number,
  to: number,
): Uint8Array {
  const out = new Uint8Array(height * to * chans);
  for (let x = 0; x < to; x++) {
    const { first, weights } = weightsAt(x, from, to);
    for (let y = 0; y < height; y++) {
      for (let c = 0; c < chans; c++) {
        let sum = 2 ** (PRECISION - 1);
        for (const [k, w] of weights.entries()) sum += w * src[(y * from + first + k) * chans + c];
        out[(y * to + x) * chans + c] = clip(sum);
      }
    }
  }
  return out;
}

/** Resizes (from, width, chans) bytes to (to, width, chans). */
export function resizeDown(src: ArrayLike<number>, from: number, width: number, chans: number, to: number): Uint8Array {
  const out = new Uint8Array(to * width * chans);
  for (let y = 0; y < to; y++) {
    const { first, weights } = weightsAt(y, from, to);
    for (let i = 0; i < width * chans; i++) {
      let sum = 2 ** (PRECISION - 1);
      for (const [k, w] of weights.entries()) sum += w * src[(first + k) * width * chans + i];
      out[y * width * chans + i] = clip(sum);
    }
  }
  return out;
}

const bytesOf = (words: Uint32Array): Uint8Array => new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
const record = (images: Uint32Array, b: number): Uint32Array => images.subarray(b * 10, (b + 1) * 10);

export function horizontal(
  { pixels, images, mid }: { pixels: Uint32Array; images: Uint32Array; mid: Uint32Array },
  { batch, chans, width }: { batch: number; chans: number; width: number },
): void {
  for (let b = 0; b < batch; b++) {
    const [offset, pitch, rows, cols, start] = record(images, b);
    const box = new Uint8Array(rows * cols * chans);
    for (let y = 0; y < rows; y++) {
      const line = offset + y * pitch;
      box.set(bytesOf(pixels).subarray(line, line + cols * chans), y * cols * chans);
    }
    bytesOf(mid).set(resizeAcross(box, rows, cols, chans, width), 4 * start);
  }
}

export function vertical(
  { mid, images, table, img }: { mid: Uint32Array; images: Uint32Array; table: Float64Array; img: Float64Array },
  { batch, chans, height, width }: { batch: number; chans: number; height: number; width: number },
): void {
  for (let b = 0; b < batch; b++) {
    const [, , rows, , start, , , , , flip] = record(images, b);
    const bytes = resizeDown(bytesOf(mid).subarray(4 * start), rows, width, chans, height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        for (let c = 0; c < chans; c++) {
          const to = flip ? width - 1 - x : x;
          img[((b * chans + c) * height + y) * width + to] = table[c * 256 + bytes[(y * width + x) * chans + c]];
        }
      }
    }
  }
}

/** (batch, words): what `vertical` looks up, as bytes in (height, width, chans). */
export function bytes(
  { mid, images, bytes: out }: { mid: Uint32Array; images: Uint32Array; bytes: Uint32Array },
  {
    batch,
    chans,
    height,
    width,
    words,
  }: { batch: number; chans: number; height: number; width: number; words: number },
): void {
  const identity = Float64Array.from({ length: 256 * chans }, (_, i) => i % 256);
  const img = new Float64Array(batch * chans * height * width);
  vertical({ mid, images, table: identity, img }, { batch, chans, height, width });
  const all = bytesOf(out).fill(0);
  for (const [i, value] of img.entries()) {
    const [b, c, at] = [
      Math.floor(i / (chans * height * width)),
      Math.floor(i / (height * width)) % chans,
      i % (height * width),
    ];
    all[4 * words * b + at * chans + c] = value;
  }
}

export function normalize(
  { bytes: given, table, img }: { bytes: Uint32Array; table: Float64Array; img: Float64Array },
  { chans, height, width, words }: { chans: number; height: number; width: number; words: number },
): void {
  const all = bytesOf(given);
  for (let i = 0; i < img.length; i++) {
    const [b, c, at] = [
      Math.floor(i / (chans * height * width)),
      Math.floor(i / (height * width)) % chans,
      i % (height * width),
    ];
    img[i] = table[c * 256 + all[4 * words * b + at * chans + c]];
  }
}
