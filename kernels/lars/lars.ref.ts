// Trust ratios, tensor by tensor.
import { ADAMW_BLOCK } from '../adamw/adamw.ts';

interface Squares {
  p: Float64Array;
  g: Float64Array;
  ends: Uint32Array;
  group: Uint32Array;
  groups: Float64Array;
  hyper: Float64Array;
  squares: Float64Array;
}

export function squares(
  { p, g, ends, group, groups, hyper, squares: out }: Squares,
  { parts }: { parts: number },
): void {
  for (let part = 0; part < parts; part++) {
    const decay = groups[2 * group[Math.floor(ends[2 * part] / ADAMW_BLOCK)]];
    let [pp, gg] = [0, 0];
    for (let i = ends[2 * part]; i < ends[2 * part + 1]; i++) {
      pp += p[i] ** 2;
      gg += (hyper[6] * g[i] + decay * p[i]) ** 2;
    }
    out[2 * part] = pp;
    out[2 * part + 1] = gg;
  }
}

export function ratio(
  { squares: sums, spans, ratio: out }: { squares: Float64Array; spans: Uint32Array; ratio: Float64Array },
  { tensors, trust }: { tensors: number; trust: number },
): void {
  for (let tensor = 0; tensor < tensors; tensor++) {
    const [first, end, exempt] = spans.subarray(4 * tensor);
    let [pp, gg] = [0, 0];
    for (let part = first; part < end; part++) {
      pp += sums[2 * part];
      gg += sums[2 * part + 1];
    }
    out[tensor] = exempt || pp === 0 || gg === 0 ? 1 : (trust * Math.sqrt(pp)) / Math.sqrt(gg);
  }
}
