// What a masked autoencoder predicts: the pixels of a patch in the order (i, j, c), with NORM less their mean and over
// their standard deviation. For kernels with Params p of batch, chans, height, width, patch_size, the binding img and the
// knobs NORM, WG, CHANS, PATCH (chans and patch_size as constants: dividing by them is cheap then) and WRITTEN, beside
// lib/bygroup.wgsl or lib/bylane.wgsl.
const AREA = PATCH * PATCH;
const SIZE = AREA * CHANS;

fn area() -> u32 {
  return select(p.patch_size * p.patch_size, AREA, WRITTEN);
}

/** Patches in the batch, counted row by row in an image. */
fn patchCount() -> u32 {
  return p.batch * (p.height / PATCH) * (p.width / PATCH);
}

/** Index in img of a patch's first pixel. */
fn patchOrigin(index: u32) -> u32 {
  let across = p.width / PATCH;
  let patches = across * (p.height / PATCH);
  let local = index % patches;
  return (index / patches * CHANS * p.height + local / across * PATCH) * p.width + local % across * PATCH;
}

/** Where the pixel ij = i * PATCH + j of the patch at `origin` lies in img; its channels are planes apart. */
fn pixel(origin: u32, ij: u32) -> u32 {
  return origin + ij / PATCH * p.width + ij % PATCH;
}

/** Mean and 1 / sqrt(var + 1e-6) of a patch, unbiased; (0, 1) without NORM. */
fn patchStat(t: u32, origin: u32) -> vec2<f32> {
  if (!NORM) { return vec2(0.0, 1.0); }
  let plane = p.height * p.width;
  var sum = 0.0;
  for (var ij = rowFirst(t); ij < area(); ij += STRIDE) {
    let at = pixel(origin, ij);
    for (var c = 0u; c < CHANS; c++) { sum += img[at + c * plane]; }
  }
  let mean = rowSum(t, sum) / f32(SIZE);
  var squares = 0.0;
  for (var ij = rowFirst(t); ij < area(); ij += STRIDE) {
    let at = pixel(origin, ij);
    for (var c = 0u; c < CHANS; c++) {
      let d = img[at + c * plane] - mean;
      squares += d * d;
    }
  }
  return vec2(mean, inverseSqrt(rowSum(t, squares) / f32(max(SIZE, 2u) - 1u) + 1e-6));
}
