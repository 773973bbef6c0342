// Stochastic depth: whole samples keep a branch, scaled, or leave it out, as often as they should, by sample and epoch alone. No GPU.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { dropPath } from '../../engine/ops/drop-path.ts';
import { runReference } from '../../engine/reference.ts';
import { Trace } from '../../engine/trace.ts';
import { traitsOf } from '../../engine/testing/gradient.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const WIDTH = 3;
const { normal, uniform, below } = random(seed);

/** Which of the samples keep their branch; every one of them keeps or leaves it as a whole, or this throws. */
function kept(ids: readonly number[], rate: number, epoch: number, stream: number, key = seed): boolean[] {
  const t = new Trace(traitsOf('simt'));
  const shape = [ids.length, WIDTH];
  const [x, r] = [t.input('x', shape, 'f32'), t.input('r', shape, 'f32')];
  const at = { ids: t.input('ids', [ids.length], 'u32'), clock: t.input('clock', [2], 'u32') };
  const { y } = dropPath({ x, r, ...at }, { rate, seed: key, stream });
  const [branch, residual] = [0, 1].map(() => Float32Array.from({ length: ids.length * WIDTH }, normal));
  const out = runReference(t, { y }, { x: branch, r: residual, ids, clock: [epoch, below(1000)] }).y;
  return ids.map((_, sample) => {
    const part = [0, 1, 2].map((i) => WIDTH * sample + i);
    if (part.every((i) => out[i] === residual[i])) return false;
    for (const i of part) {
      // The rate is a parameter in f32; all else is in f64 here.
      const scaled = branch[i] / (1 - Math.fround(rate));
      const bound = 1e-12 * (Math.abs(scaled) + Math.abs(residual[i]));
      assert.ok(Math.abs(out[i] - (residual[i] + scaled)) <= bound, `${out[i]}, not ${residual[i] + scaled}`);
    }
    return true;
  });
}

const SAMPLES = Array.from({ length: 4000 }, (_, i) => (i * 2654435761) >>> 0);
const count = (of: readonly boolean[]): number => of.filter(Boolean).length;

test(`a branch is kept as often as 1 - rate, and never left out at 0 (SEED=${seed})`, () => {
  for (const rate of [0.1, 0.1 + 0.7 * uniform(), 0.9]) {
    const sigma = Math.sqrt(SAMPLES.length * rate * (1 - rate));
    assert.ok(Math.abs(count(kept(SAMPLES, rate, 2, 9)) - SAMPLES.length * (1 - rate)) < 5 * sigma, `rate ${rate}`);
  }
  assert.is(count(kept(SAMPLES, 0, 2, 9)), SAMPLES.length);
});

test(`any batch with a sample in it says the same; epoch, stream and seed say otherwise (SEED=${seed})`, () => {
  const whole = kept(SAMPLES, 0.5, 3, 4);
  for (const [from, to] of [
    [0, 1],
    [17, 300],
    [3000, 4000],
  ]) {
    assert.equal(kept(SAMPLES.slice(from, to), 0.5, 3, 4), whole.slice(from, to));
  }
  for (const other of [kept(SAMPLES, 0.5, 4, 4), kept(SAMPLES, 0.5, 3, 5), kept(SAMPLES, 0.5, 3, 4, seed + 1)]) {
    const alike = other.filter((value, i) => value === whole[i]).length;
    // Independent coins agree half the time.
    assert.ok(Math.abs(alike - SAMPLES.length / 2) < 5 * Math.sqrt(SAMPLES.length / 4), `${alike} alike`);
  }
});

test.run();
