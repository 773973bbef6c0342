// What judges features and classifiers, beside plain definitions on random numbers.
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { forgetOldest } from '../../mae/evaluate/features.ts';
import { fittingBatch } from '../../mae/evaluate/fitting.ts';
import { knnOnHost, nearest, normalized } from '../../mae/evaluate/knn.ts';
import { Tally } from '../../mae/evaluate/metrics.ts';
import { effectiveRank, rankOf } from '../../mae/evaluate/rank.ts';
import { ridgeTop1 } from '../../mae/evaluate/ridge.ts';
import { configure } from '../../mae/model/config.ts';
import { summary } from '../../mae/study.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const rng = random(seed, 1);
const normals = (n: number): Float32Array => Float32Array.from({ length: n }, () => rng.normal());
const near = (got: number, want: number, bound = 1e-9): void =>
  assert.ok(Math.abs(got - want) <= bound, `${got}, ${want}; SEED=${seed}`);

test('top-1, top-5, loss and confusion are means over images, whatever the batches', () => {
  const [K, n] = [7, 23];
  const logits = normals(n * K);
  const labels = Int32Array.from({ length: n }, () => rng.below(K));
  const [whole, parts] = [new Tally(K), new Tally(K)];
  whole.add(logits, labels);
  for (let i = 0; i < n; i += 5) parts.add(logits.subarray(i * K, (i + 5) * K), labels.subarray(i, i + 5));
  assert.equal(parts.metrics, { ...whole.metrics, loss: parts.metrics.loss });
  near(parts.metrics.loss, whole.metrics.loss, 1e-12);
  let [first, five, loss] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    const z = [...logits.subarray(i * K, (i + 1) * K)];
    const order = z.map((_, k) => k).sort((a, b) => z[b] - z[a]);
    first += Number(order[0] === labels[i]);
    five += Number(order.slice(0, 5).includes(labels[i]));
    loss += Math.log(z.reduce((s, x) => s + Math.exp(x), 0)) - z[labels[i]];
    assert.ok(whole.metrics.confusion[labels[i]][order[0]] > 0);
  }
  near(whole.metrics.top1, (100 * first) / n);
  near(whole.metrics.top5, (100 * five) / n);
  near(whole.metrics.loss, loss / n, 1e-6);
  assert.is(
    whole.metrics.confusion.flatMap((row) => [...row]).reduce((a, b) => a + b),
    n,
  );
});

test('images without a label do not count; of equal logits the first class wins', () => {
  const tally = new Tally(3);
  tally.add([1, 1, 1, 9, 9, 9, 0, 1, 0], [0, -1, 2]);
  assert.is(tally.metrics.images, 2);
  assert.is(tally.metrics.top1, 50);
});

test('nearest: the largest, in order, the first of equal ones', () => {
  const values = Float32Array.from({ length: 200 }, () => rng.below(50));
  const want = [...values]
    .map((similarity, at) => ({ at, similarity }))
    .sort((a, b) => b.similarity - a.similarity || a.at - b.at);
  assert.equal(nearest(values, 17), want.slice(0, 17));
});

test('k nearest neighbours: votes weigh exp(cosine / temperature)', () => {
  const [n, q, dim, classes] = [40, 30, 6, 4];
  const [train, x] = [normals(n * dim), normals(q * dim)];
  const labels = (count: number) => Int32Array.from({ length: count }, () => rng.below(classes));
  const [own, asked] = [labels(n), labels(q)];
  const row = (of: Float32Array, i: number) => of.subarray(i * dim, (i + 1) * dim);
  const dot = (a: Float32Array, b: Float32Array) => a.reduce((s, v, d) => s + v * b[d], 0);
  let right = 0;
  for (let i = 0; i < q; i++) {
    const cosine = (j: number) =>
      dot(row(x, i), row(train, j)) / Math.sqrt(dot(row(x, i), row(x, i)) * dot(row(train, j), row(train, j)));
    const order = Array.from({ length: n }, (_, j) => j)
      .sort((a, b) => cosine(b) - cosine(a))
      .slice(0, 7);
    const votes = new Array<number>(classes).fill(0);
    for (const j of order) votes[own[j]] += Math.exp(cosine(j) / 0.1);
    right += Number(votes.indexOf(Math.max(...votes)) === asked[i]);
  }
  const got = knnOnHost({ x: train, labels: own }, { x, labels: asked }, dim, { k: 7, temperature: 0.1, classes });
  near(got, (100 * right) / q);
  assert.equal([...normalized(new Float32Array(4), 4)], [0, 0, 0, 0]);
});

test('effective rank: the width of an even spread, 1 on a line, 0 of nothing', async () => {
  near(rankOf([2, 2, 2, 2]), 4, 1e-12);
  near(rankOf([5, 0, 0]), 1, 1e-12);
  assert.is(rankOf([0, 0]), 0);
  const dim = 5;
  const line = normals(dim);
  const onLine = Float32Array.from({ length: 300 * dim }, (_, i) => line[i % dim] * Math.sin(Math.floor(i / dim)));
  near(await effectiveRank(onLine, dim), 1, 0.02);
  const even = await effectiveRank(normals(4000 * dim), dim);
  assert.ok(even > 4.9 && even <= 5, `${even}; SEED=${seed}`);
  // A constant offset is no direction.
  const offset = onLine.map((x) => x + 100);
  near(await effectiveRank(offset, dim), 1, 0.05);
});

test('ridge: classes that a plane divides are told apart, and labels without features are guessed', async () => {
  const [n, dim] = [400, 8];
  const labelled = () => {
    const x = normals(n * dim);
    // One column that says nothing, one that is far away.
    for (let i = 0; i < n; i++) [x[i * dim + 6], x[i * dim + 7]] = [3, 1000 + x[i * dim + 7]];
    const labels = Int32Array.from({ length: n }, (_, i) => Number(x[i * dim] + 0.5 * x[i * dim + 1] > 0));
    return { x, labels };
  };
  const top1 = await ridgeTop1(labelled(), labelled(), dim, 2);
  assert.ok(top1 > 90, `${top1}; SEED=${seed}`);
  const nothing = { x: new Float32Array(4 * dim), labels: Int32Array.of(1, 1, 1, 0) };
  assert.is(await ridgeTop1(nothing, nothing, dim, 2), 75);
});

test('kept features: the oldest go first, and the newest stays', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tesserae-kept-'));
  try {
    for (const [i, name] of ['c', 'a', 'b'].entries()) {
      await writeFile(join(folder, `${name}.safetensors`), new Uint8Array(100));
      await utimes(join(folder, `${name}.safetensors`), 1000 + i, 1000 + i);
    }
    await forgetOldest(folder, 250);
    assert.equal((await readdir(folder)).sort(), ['a.safetensors', 'b.safetensors']);
    await forgetOldest(folder, 10);
    assert.equal(await readdir(folder), ['b.safetensors']);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a summary over seeds has the mean and the width', () => {
  assert.equal(summary([3, 5, 4]), { mean: 4, spread: 2 });
});
test('a forward pass takes as many images as the device binds, and one at least', () => {
  const of = (preset: string, maxBindingBytes: number) =>
    fittingBatch({ device: { traits: { maxBindingBytes } } }, configure(preset), 256);
  assert.is(of('mae_vit_nano_patch4_32', 2 ** 27), 256);
  // 197 tokens of 4 x 192 and 4 x 768 numbers; at width 64 the image itself is larger.
  assert.is(of('mae_vit_tiny_patch16', 2 ** 27), Math.floor(2 ** 27 / (4 * 197 * 768)));
  assert.is(of('mae_vit_base_patch16', 2 ** 27), Math.floor(2 ** 27 / (4 * 197 * 3072)));
  const narrow = configure('mae_vit_tiny_patch16', { embed_dim: 64, num_heads: 1 });
  assert.is(
    fittingBatch({ device: { traits: { maxBindingBytes: 2 ** 27 } } }, narrow, 256),
    Math.floor(2 ** 27 / (4 * 3 * 224 * 224)),
  );
  assert.is(of('mae_vit_huge_patch14', 1000), 1);
});
test.run();
