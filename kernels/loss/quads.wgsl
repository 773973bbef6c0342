// What a masked autoencoder predicts, as target.wgsl, for kernels that hold a patch in registers: a thread has PER quads of four
// neighbouring pixels, with all their channels. For kernels with Params p of batch, height, width, with img and pred,
// and with the knobs NORM, WG, CHANS, PATCH, PER.
const QUADS = PATCH * PATCH / 4u;
const SIZE = PATCH * PATCH * CHANS;
alias Quads = array<vec4<f32>, COUNT>;

/** Patches in the batch, counted row by row in an image. */
fn patchCount() -> u32 {
  return p.batch * (p.height / PATCH) * (p.width / PATCH);
}

/** Index in img, in quads, of a patch's first pixel. */
fn patchOrigin(index: u32) -> u32 {
  let across = p.width / PATCH;
  let patches = across * (p.height / PATCH);
  let local = index % patches;
  return ((index / patches * CHANS * p.height + local / across * PATCH) * p.width + local % across * PATCH) / 4u;
}

/** Where quad q of channel c of the patch at `origin` lies in img. */
fn quad(origin: u32, q: u32, c: u32) -> u32 {
  return origin + (c * p.height + q / (PATCH / 4u)) * (p.width / 4u) + q % (PATCH / 4u);
}

/** The thread's quads of a patch, of the image and of the prediction; beyond the patch's last one, that one again. */
fn readQuads(index: u32, t: u32, x: ptr<function, Quads>, y: ptr<function, Quads>) {
  let origin = patchOrigin(index);
  for (var k = 0u; k < PER; k++) { // unroll
    let q = min(t + k * WG, QUADS - 1u);
    for (var c = 0u; c < CHANS; c++) { // unroll
      (*x)[k * CHANS + c] = img[quad(origin, q, c)];
      (*y)[k * CHANS + c] = pred[(index * QUADS + q) * CHANS + c];
    }
  }
}

/** Elements 4 e to 4 e + 3 of the thread's k-th quad in the order of the prediction, (pixel, channel). */
fn inOrder(x: ptr<function, Quads>, k: u32, e: u32) -> vec4<f32> {
  let i = 4u * e;
  return vec4(
    (*x)[k * CHANS + i % CHANS][i / CHANS],
    (*x)[k * CHANS + (i + 1u) % CHANS][(i + 1u) / CHANS],
    (*x)[k * CHANS + (i + 2u) % CHANS][(i + 2u) / CHANS],
    (*x)[k * CHANS + (i + 3u) % CHANS][(i + 3u) / CHANS],
  );
}

fn across4(v: vec4<f32>) -> f32 {
  return v.x + v.y + v.z + v.w;
}

/** Mean and 1 / sqrt(var + 1e-6) of a patch, unbiased; (0, 1) without NORM. */
fn quadStat(t: u32, x: ptr<function, Quads>) -> vec2<f32> {
  if (!NORM) { return vec2(0.0, 1.0); }
  var sum = vec4<f32>();
  for (var k = 0u; k < PER; k++) { // unroll
    if (t + k * WG < QUADS) {
      for (var c = 0u; c < CHANS; c++) { // unroll
        sum += (*x)[k * CHANS + c];
      }
    }
  }
  let mean = rowSum(t, across4(sum)) / f32(SIZE);
  var squares = vec4<f32>();
  for (var k = 0u; k < PER; k++) { // unroll
    if (t + k * WG < QUADS) {
      for (var c = 0u; c < CHANS; c++) { // unroll
        let d = (*x)[k * CHANS + c] - mean;
        squares += d * d;
      }
    }
  }
  return vec2(mean, inverseSqrt(rowSum(t, across4(squares)) / f32(max(SIZE, 2u) - 1u) + 1e-6));
}
