// k nearest neighbours by cosine similarity, votes weighted by exp(similarity / temperature) (Wu et al. 2018, section 3.4).
import type { Engine } from '../../engine/engine.ts';
import { linear } from '../../engine/ops/linear.ts';
import { Tally } from './metrics.ts';

export interface Labelled {
  /** (count, dim) */
  readonly x: Float32Array;
  /** (count) */
  readonly labels: Int32Array;
}

interface KnnOptions {
  readonly ks: readonly number[];
  readonly temperature: number;
  readonly classes: number;
  readonly progress?: (done: number, count: number) => void;
}

/** Queries of which the similarities to all of the training images are on their way at a time. */
const CHUNK = 64;

/** Rows of length 1; a row of zeros stays one. */
export function normalized(x: Float32Array, dim: number): Float32Array<ArrayBuffer> {
  const y = new Float32Array(x.length);
  for (let row = 0; row < x.length; row += dim) {
    let sum = 0;
    for (let k = 0; k < dim; k++) sum += x[row + k] ** 2;
    const scale = sum > 0 ? 1 / Math.sqrt(sum) : 0;
    for (let k = 0; k < dim; k++) y[row + k] = x[row + k] * scale;
  }
  return y;
}

/** Top-1 in per cent for every k, of `queries` against `train`, both of width dim. */
export async function knn(
  engine: Engine,
  train: Labelled,
  queries: Labelled,
  dim: number,
  { ks, temperature, classes, progress }: KnnOptions,
): Promise<Map<number, number>> {
  const n = train.labels.length;
  const count = queries.labels.length;
  const most = Math.min(n, Math.max(...ks));
  const bank = engine.variable('knn.bank', [n, dim], { data: normalized(train.x, dim) });
  const none = engine.variable('knn.none', [n], { data: new Float32Array(n) });
  const program = engine.compile({ x: 'f32' }, ({ x }) => ({ y: linear({ x, w: bank, b: none, r: null }, {}).y }));
  const x = normalized(queries.x, dim);
  const tallies = new Map(ks.map((k) => [k, new Tally(classes)]));
  for (let first = 0; first < count; first += CHUNK) {
    const size = Math.min(CHUNK, count - first);
    const part = x.slice(first * dim, (first + size) * dim);
    const { y } = await (await program.run({ x: { data: part, shape: [size, dim] } })).read();
    for (let i = 0; i < size; i++) {
      const near = nearest(y.subarray(i * n, (i + 1) * n) as Float32Array, most);
      for (const [k, tally] of tallies)
        tally.add(votes(near.slice(0, k), train.labels, temperature, classes), [queries.labels[first + i]]);
    }
    progress?.(first + size, count);
  }
  engine.release(bank);
  engine.release(none);
  return new Map([...tallies].map(([k, tally]) => [k, tally.metrics.top1]));
}

/** The `most` largest, largest first; of equal ones the first. */
export function nearest(similarities: Float32Array, most: number): Neighbour[] {
  const found: Neighbour[] = [];
  let least = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < similarities.length; at++) {
    const similarity = similarities[at];
    if (found.length === most && similarity <= least) continue;
    let place = found.length;
    while (place > 0 && found[place - 1].similarity < similarity) place--;
    found.splice(place, 0, { at, similarity });
    if (found.length > most) found.pop();
    if (found.length === most) least = found[most - 1].similarity;
  }
  return found;
}

interface Neighbour {
  readonly at: number;
  readonly similarity: number;
}

/** (classes): what the neighbours say. */
function votes(near: readonly Neighbour[], labels: Int32Array, temperature: number, classes: number): Float64Array {
  const sums = new Float64Array(classes);
  for (const { at, similarity } of near)
    if (labels[at] >= 0) sums[labels[at]] += Math.exp((similarity - 1) / temperature);
  return sums;
}

/** The same in plain loops, for some thousand images: it asks nothing of a device that is busy training. */
export function knnOnHost(
  train: Labelled,
  queries: Labelled,
  dim: number,
  { k, temperature, classes }: { k: number; temperature: number; classes: number },
): number {
  const [bank, x] = [normalized(train.x, dim), normalized(queries.x, dim)];
  const n = train.labels.length;
  const similarities = new Float32Array(n);
  const tally = new Tally(classes);
  for (let q = 0; q < queries.labels.length; q++) {
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let d = 0; d < dim; d++) sum += bank[i * dim + d] * x[q * dim + d];
      similarities[i] = sum;
    }
    const near = nearest(similarities, Math.min(k, n));
    tally.add(votes(near, train.labels, temperature, classes), [queries.labels[q]]);
  }
  return tally.metrics.top1;
}
