// The last step of a product for 4 neighbouring columns; col and at count vectors. Beside it: epilogue.wgsl, one column.
fn biasOf(col: u32) -> vec4<f32> {
  if (EPILOGUE >= 1u && EPILOGUE <= 3u) { return bias[col]; }
  return vec4<f32>();
}

fn auxOf(at: u32) -> vec4<f32> {
  if (EPILOGUE >= 3u) { return wideC(r[at]); }
  return vec4<f32>();
}

fn finish(at: u32, sum: vec4<f32>, offset: vec4<f32>, aux: vec4<f32>) {
  if (EPILOGUE == 0u) {
    c[at] = narrowC(sum);
  } else if (EPILOGUE == 1u) {
    c[at] = narrowC(sum + offset);
  } else if (EPILOGUE == 2u) {
    let x = sum + offset;
    let g0 = geluAndSlope(x.x);
    let g1 = geluAndSlope(x.y);
    let g2 = geluAndSlope(x.z);
    let g3 = geluAndSlope(x.w);
    c[at] = narrowC(vec4(g0.x, g1.x, g2.x, g3.x));
    u[at] = narrowC(vec4(g0.y, g1.y, g2.y, g3.y));
  } else if (EPILOGUE == 3u) {
    c[at] = narrowC(sum + offset + aux);
  } else {
    c[at] = narrowC(sum * aux);
  }
}
