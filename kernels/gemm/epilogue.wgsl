// The last step of a product: c[at] = epilogue(sum). What it reads comes first and apart, so that a caller can load
// for many elements at once before it computes: on a CPU one miss at a time costs more than the whole epilogue.
fn biasOf(col: u32) -> f32 {
  if (EPILOGUE >= 1u && EPILOGUE <= 3u) { return bias[col]; }
  return 0.0;
}

fn auxOf(at: u32) -> f32 {
  if (EPILOGUE >= 3u) { return f32(r[at]); }
  return 0.0;
}

fn finish(at: u32, sum: f32, offset: f32, aux: f32) {
  if (EPILOGUE == 0u) {
    c[at] = C1(sum);
  } else if (EPILOGUE == 1u) {
    c[at] = C1(sum + offset);
  } else if (EPILOGUE == 2u) {
    let g = geluAndSlope(sum + offset);
    c[at] = C1(g.x);
    u[at] = C1(g.y);
  } else if (EPILOGUE == 3u) {
    c[at] = C1(sum + offset + aux);
  } else {
    c[at] = C1(sum * aux);
  }
}
