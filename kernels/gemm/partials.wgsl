// One of the workgroups before those of c sums a bias gradient: element `at` of dbias from `groups` partial sums, `rows` apart. Neighbours read
// neighbours, and eight loads are under way at a time, so that many partial sums do not outlast the rest of the dispatch; the order is fixed.
fn partialSum(at: u32, rows: u32, groups: u32, second: bool) -> f32 {
  var sum = 0.0;
  var i = at;
  var left = groups;
  for (; left >= 8u; left -= 8u) {
    sum += ((part(i, second) + part(i + rows, second)) + (part(i + 2u * rows, second) + part(i + 3u * rows, second)))
      + ((part(i + 4u * rows, second) + part(i + 5u * rows, second)) + (part(i + 6u * rows, second) + part(i + 7u * rows, second)));
    i += 8u * rows;
  }
  for (; left > 0u; left--) {
    sum += part(i, second);
    i += rows;
  }
  return sum;
}
