// What a masked autoencoder predicts: the pixels of a patch in the order (i, j, c), with NORM less their mean and over
// their standard deviation. For kernels with Params p of chans, height, width, patch_size, the binding img (batch, chans,
// height, width) and the knobs NORM, WG, CHANS, PATCH (chans and patch_size as constants: dividing by them is cheap then).
const SIZE = PATCH * PATCH * CHANS;

/** Index in img of a patch's first pixel; patches are counted over the batch, row by row in an image. */
fn patchOrigin(index: u32) -> u32 {
  let across = p.width / PATCH;
  let patches = across * (p.height / PATCH);
  let local = index % patches;
  return (index / patches * CHANS * p.height + local / across * PATCH) * p.width + local % across * PATCH;
}

/** Element k = (i * PATCH + j) * CHANS + c of the patch at `origin`. */
fn pixel(origin: u32, k: u32) -> f32 {
  let ij = k / CHANS;
  return img[origin + (k % CHANS * p.height + ij / PATCH) * p.width + ij % PATCH];
}

/** Mean and 1 / sqrt(var + 1e-6) over a patch, unbiased; (0, 1) without NORM. All WG threads call it together. */
fn patchStat(t: u32, origin: u32) -> vec2<f32> {
  if (!NORM) { return vec2(0.0, 1.0); }
  var sum = 0.0;
  for (var k = t; k < SIZE; k += WG) { sum += pixel(origin, k); }
  let mean = rowSum(t, sum) / f32(SIZE);
  var squares = 0.0;
  for (var k = t; k < SIZE; k += WG) {
    let d = pixel(origin, k) - mean;
    squares += d * d;
  }
  return vec2(mean, inverseSqrt(rowSum(t, squares) / f32(max(SIZE, 2u) - 1u) + 1e-6));
}
