// Sum of one pair per thread over the TY threads of a column; each of them gets it. For kernels with the knobs TX (columns of a workgroup)
// and TY (rows taken at a time, a power of two), whose thread t has column t % TX.
var<workgroup> columnScratch: array<vec2<f32>, TX * TY>;

fn columnSum(t: u32, value: vec2<f32>) -> vec2<f32> {
  if (TY == 1u) { return value; }
  columnScratch[t] = value;
  for (var half = TY / 2u; half > 0u; half = half / 2u) {
    workgroupBarrier();
    if (t < half * TX) { columnScratch[t] += columnScratch[t + half * TX]; }
  }
  workgroupBarrier();
  let sum = columnScratch[t % TX];
  workgroupBarrier();
  return sum;
}
