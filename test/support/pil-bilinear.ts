// PIL's bilinear resize of bytes (Pillow's Resample.c: a triangle as wide as the scale, 22-bit fixed point, columns first): what the image processor
// of transformers does.

const BITS = 22;

/** (height, width, 3) bytes to another size. */
export function pilBilinear(
  data: Uint8Array,
  [height, width]: readonly [number, number],
  to: readonly [number, number],
): Uint8Array {
  const across = along(data, height, width, 3, to[1]);
  return along(across, 1, height, 3 * to[1], to[0]);
}

/** The middle axis of (rows, from, step) to (rows, to, step). */
function along(data: Uint8Array, rows: number, from: number, step: number, to: number): Uint8Array {
  const out = new Uint8Array(rows * to * step);
  const scale = from / to;
  const support = Math.max(1, scale);
  for (let i = 0; i < to; i++) {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const count = Math.min(from, Math.trunc(center + support + 0.5)) - first;
    const weights = Array.from({ length: count }, (_, k) =>
      Math.max(0, 1 - Math.abs(k + first - center + 0.5) / support),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    const fixed = weights.map((w) => Math.trunc((w / sum) * (1 << BITS) + 0.5));
    for (let r = 0; r < rows; r++) {
      for (let s = 0; s < step; s++) {
        let value = 1 << (BITS - 1);
        for (const [k, w] of fixed.entries()) value += data[(r * from + first + k) * step + s] * w;
        out[(r * to + i) * step + s] = Math.min(255, value >> BITS);
      }
    }
  }
  return out;
}
