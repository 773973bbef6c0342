// The last step of a product, on one sum: c[at] = epilogue(sum), where `at` lies in column `col`.
fn finish(at: u32, col: u32, sum: f32) {
  if (EPILOGUE == 0u) {
    c[at] = sum;
  } else if (EPILOGUE == 1u) {
    c[at] = sum + bias[col];
  } else if (EPILOGUE == 2u) {
    let pre = sum + bias[col];
    u[at] = pre;
    c[at] = gelu(pre);
  } else if (EPILOGUE == 3u) {
    c[at] = sum + bias[col] + r[at];
  } else {
    c[at] = sum * dgelu(r[at]);
  }
}
