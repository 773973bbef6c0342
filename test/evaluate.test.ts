// What frozen features are judged by: neighbours and rank against plain loops, and features that the disk gives back.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { random } from '../kernels/random/random.ts';
import type { Dataset } from '../mae/data/dataset.ts';
import { type Features, keptFeatures } from '../mae/evaluate/features.ts';
import { choicesIn, chosen } from '../mae/evaluate/kinds.ts';
import { knn, nearest } from '../mae/evaluate/knn.ts';
import { effectiveRank } from '../mae/evaluate/rank.ts';
import { MaskedAutoencoder } from '../mae/model/model.ts';
import { TINY } from './support/tiny.ts';

const cache = mkdtempSync(join(tmpdir(), 'tesserae-evaluate-'));
process.env.TESSERAE_CACHE = cache;
const engine = new Engine(await openDawn());
test.after(() => {
  engine.device.dispose();
  rmSync(cache, { recursive: true, force: true });
});
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const rng = random(seed);
const normals = (length: number): Float32Array => Float32Array.from({ length }, () => rng.normal());

/** Top-1 in per cent by the definition. */
function plainKnn(
  train: Labels,
  queries: Labels,
  dim: number,
  k: number,
  temperature: number,
  classes: number,
): number {
  const row = (x: Float32Array, i: number): number[] => [...x.subarray(i * dim, (i + 1) * dim)];
  const length = (v: number[]): number => Math.hypot(...v);
  let right = 0;
  for (let q = 0; q < queries.labels.length; q++) {
    const own = row(queries.x, q);
    const all = [...train.labels].map((label, i) => {
      const other = row(train.x, i);
      const dot = own.reduce((sum, value, d) => sum + value * other[d], 0);
      return { label, cosine: dot / length(own) / length(other) };
    });
    const votes = new Array<number>(classes).fill(0);
    for (const { label, cosine } of all.sort((a, b) => b.cosine - a.cosine).slice(0, k))
      votes[label] += Math.exp(cosine / temperature);
    right += Number(votes.indexOf(Math.max(...votes)) === queries.labels[q]);
  }
  return (100 * right) / queries.labels.length;
}
type Labels = Readonly<{ x: Float32Array; labels: Int32Array }>;

test(`neighbours: top-1 of the definition, for every k at once (seed ${seed})`, async () => {
  const [dim, classes] = [12, 4];
  const set = (count: number): Labels => {
    const labels = Int32Array.from({ length: count }, () => rng.below(classes));
    const x = normals(count * dim).map((value, i) => 5 * (value + Number(labels[Math.floor(i / dim)] === i % dim)));
    return { x, labels };
  };
  const [train, queries] = [set(90), set(75)];
  const found = await knn(engine, train, queries, dim, { ks: [1, 5, 20, 200], temperature: 0.07, classes });
  assert.equal([...found.keys()], [1, 5, 20, 200]);
  for (const [k, top1] of found) assert.is(top1, plainKnn(train, queries, dim, k, 0.07, classes), `k ${k}`);
  const own = await knn(engine, train, train, dim, { ks: [1], temperature: 0.07, classes });
  assert.is(own.get(1), 100, 'an image is nearest to itself');
});

test(`the nearest are those of sorting, the first of equal ones first (seed ${seed})`, () => {
  const similarities = Float32Array.from({ length: 200 }, () => rng.below(20));
  const want = [...similarities]
    .map((similarity, at) => ({ at, similarity }))
    .sort((a, b) => b.similarity - a.similarity || a.at - b.at)
    .slice(0, 30);
  assert.equal(nearest(similarities, 30), want);
});

test(`effective rank: 1 on a line, the width where all directions are alike (seed ${seed})`, async () => {
  const [count, dim] = [400, 6];
  const [direction, lengths] = [normals(dim), normals(count)];
  const line = Float32Array.from(
    { length: count * dim },
    (_, i) => 3 + lengths[Math.floor(i / dim)] * direction[i % dim],
  );
  assert.ok((await effectiveRank(line, dim)) < 1.01);
  const cross = new Float32Array(2 * dim * dim);
  for (let k = 0; k < dim; k++) [cross[2 * k * dim + k], cross[(2 * k + 1) * dim + k]] = [1, -1];
  assert.ok(Math.abs((await effectiveRank(cross, dim)) - dim) < 1e-6);
  // Singular values 3 and 1: p = 3/4, 1/4.
  const two = new Float32Array(4 * dim);
  [two[0], two[dim], two[2 * dim + 1], two[3 * dim + 1]] = [3, -3, 1, -1];
  const want = Math.exp(-(0.75 * Math.log(0.75) + 0.25 * Math.log(0.25)));
  assert.ok(Math.abs((await effectiveRank(two, dim)) - want) < 1e-6);
});

const images: Dataset = {
  name: 'noise',
  length: 7,
  classes: ['a', 'b'],
  channels: 3,
  mean: [0.5, 0.5, 0.5],
  std: [0.25, 0.25, 0.25],
  read: async (index) => {
    const own = random(seed + index);
    const data = Uint8Array.from({ length: 20 * 14 * 3 }, () => own.below(256));
    return { data, height: 14, width: 20, channels: 3, label: index % 2 };
  },
};

test(`features: the same from the disk and in other batches; others for other weights and views (seed ${seed})`, async () => {
  const { mean, std } = images;
  const notes: string[] = [];
  const of = (weights: number, more: { view?: { seed: number; number: number }; batchSize?: number } = {}) => {
    const model = new MaskedAutoencoder(engine, TINY, weights);
    const note = (line: string): void => void notes.push(line);
    return keptFeatures(engine, model, images, { mean, std, source: 'x', cache: true, note, ...more });
  };
  const same = (a: Features, b: Features): boolean => String([a.cls, a.gap]) === String([b.cls, b.gap]);
  const first = await of(1, { batchSize: 3 });
  assert.equal([first.count, first.dim, first.cls.length, [...first.labels]], [7, 24, 7 * 24, [0, 1, 0, 1, 0, 1, 0]]);
  assert.ok(same(first, await of(1, { batchSize: 3 })));
  assert.match(notes[0], /computed/);
  assert.match(notes[1], /found in the cache/);
  assert.not.ok(same(first, await of(2)));
  const view = await of(1, { view: { seed: 1, number: 0 } });
  assert.not.ok(same(first, view));
  assert.not.ok(same(view, await of(1, { view: { seed: 1, number: 1 } })));
  assert.match(notes.slice(2).join(), /^((?!found).)*$/);
  const kept = readdirSync(join(cache, 'features'));
  assert.is(kept.length, 4);
  for (const file of kept) writeFileSync(join(cache, 'features', file), 'damaged');
  const again = await of(1, { batchSize: 4 });
  assert.match(notes[5], /computed/);
  for (const kind of ['cls', 'gap'] as const)
    assert.ok(
      again[kind].every((value, i) => Math.abs(value - first[kind][i]) < 1e-4),
      kind,
    );
});

test('both kinds beside one another weigh the same', () => {
  const features = {
    cls: Float32Array.of(3, 4, 0, 5),
    gap: Float32Array.of(600, 800, 0, -1),
    labels: new Int32Array(2),
    dim: 2,
    count: 2,
  };
  const { x, dim } = chosen(features, 'both');
  assert.is(dim, 4);
  assert.equal(
    [...x].map((value) => Math.round(10 * value) / 10),
    [0.6, 0.8, 0.6, 0.8, 0, 1, 0, -1],
  );
  assert.equal(choicesIn('gap,both'), ['gap', 'both']);
  assert.throws(() => choicesIn('gap,bth'), /--features must be of cls, gap, both, .* got bth/);
});

test.run();
