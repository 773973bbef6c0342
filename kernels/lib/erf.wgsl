// Exact GELU and its derivative through the normal distribution function, to f32 rounding (absolute error < 3e-7).
// The tail is exp(-x^2/2) t P(t) with t = 1 / (1 + 0.4 |x|); P is our own minimax fit, within 3.7e-8 relative. One exp
// serves the value and the derivative; 1 - tail keeps the tail's relative accuracy, which 1 + erf(x) would cancel away.

/** x: Phi(x), the share of N(0, 1) below x; y: phi(x), its density. */
fn normal(x: f32) -> vec2<f32> {
  let z = min(abs(x), 14.0); // below 1e-44 beyond
  let t = 1.0 / (1.0 + 0.4 * z);
  let e = exp(-0.5 * z * z);
  let p = t * (0.15966547 + t * (0.1576917 + t * (0.15039353 + t * (0.007352395
    + t * (0.22161819 + t * (-0.34769195 + t * (0.18799128 + t * -0.037020635)))))));
  let tail = e * p;
  return vec2(select(1.0 - tail, tail, x < 0.0), 0.3989422804014327 * e);
}

fn gelu(x: f32) -> f32 {
  return x * normal(x).x;
}

/** gelu(x) and gelu'(x). */
fn geluAndSlope(x: f32) -> vec2<f32> {
  let n = normal(x);
  return vec2(x * n.x, n.x + x * n.y);
}

fn dgelu(x: f32) -> f32 {
  return geluAndSlope(x).y;
}
