// IEEE 754 binary16 on the host, which has no array of it: to and from binary32, and the rounding that storing does.

/** The values of halves given by their bits; exact. */
export function fromHalves(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(halves.length);
  const bits = new Uint32Array(values.buffer);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i];
    bits[i] = (half & 0x7fff) << 13;
    // Exponent and mantissa now sit where binary32 has them; the bias is 15 instead of 127. A product in f64 is exact.
    if ((half & 0x7c00) === 0x7c00) bits[i] |= 0x7f800000;
    else values[i] *= 2 ** 112;
    bits[i] |= (half & 0x8000) << 16;
  }
  return values;
}

/** The bits of the nearest halves, ties to even; beyond 65,519.99 infinity. */
export function toHalves(values: ArrayLike<number>): Uint16Array<ArrayBuffer> {
  const halves = new Uint16Array(values.length);
  const one = new Float32Array(1);
  const bits = new Uint32Array(one.buffer);
  for (let i = 0; i < values.length; i++) {
    one[0] = values[i];
    const sign = (bits[0] >>> 16) & 0x8000;
    const rest = bits[0] & 0x7fffffff;
    if (rest > 0x7f800000) halves[i] = sign | 0x7e00;
    else if (rest >= 0x477ff000) halves[i] = sign | 0x7c00;
    else if (rest >= 0x38800000) halves[i] = sign | ((rest + 0xfff + ((rest >>> 13) & 1) - 0x38000000) >>> 13);
    // Subnormal halves: adding a half of 2^24 ulps lets binary32 itself round to the last place that is left.
    else {
      one[0] = Math.abs(one[0]) + 0.5;
      halves[i] = sign | (bits[0] - 0x3f000000);
    }
  }
  return halves;
}

/** What is left of numbers that were stored as halves. */
export const throughHalves = (values: ArrayLike<number>): Float32Array<ArrayBuffer> => fromHalves(toHalves(values));
