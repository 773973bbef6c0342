// Every op's recorded backward against central differences of its forward, both in f64 on the kernels' references, with
// torch.autograd.gradcheck's numbers (eps 1e-6, atol 1e-5, rtol 1e-3), at fresh random ugly shapes.
// `OP=linear SEED=1 node … test/fast/gradcheck.test.ts` repeats one op; SHAPES=500 tries more of them.
import { readdirSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { onHost } from '../support/gradient.ts';
import { NOT_OPS, ROWS } from '../support/op-rows.ts';

const EPS = 1e-6;
const ATOL = 1e-5;
const RTOL = 1e-3;
const SHAPES = Number(process.env.SHAPES ?? 12);
/** Elements of a tensor that are moved one by one; a move of all together covers the rest. */
const SINGLE = 10;
const base = Number(process.env.SEED ?? Date.now() % 2 ** 31);

test('every op that engine/ops exports has a row', async () => {
  const folder = new URL('../../engine/ops/', import.meta.url);
  const known = new Set([...ROWS.map((r) => r.op), ...NOT_OPS]);
  const exported: string[] = [];
  for (const file of readdirSync(folder).filter((f) => f.endsWith('.ts'))) {
    exported.push(...Object.keys(await import(new URL(file, folder).href)));
  }
  assert.equal(exported.filter((name) => !known.has(name)), [], 'exported, but neither in ROWS nor in NOT_OPS');
  assert.equal([...known].filter((name) => !exported.includes(name)), [], 'listed, but not exported');
});

for (const [i, row] of ROWS.entries()) {
  if (process.env.OP && process.env.OP !== row.op) continue;
  test(`${row.op} ${row.label}`, () => {
    for (let s = 0; s < SHAPES; s++) {
      const seed = base + 1000 * i + s;
      const rng = random(seed);
      const c = row.draw(rng);
      const shapes = Object.entries(c.inputs).map(([name, g]) => `${name} (${g.shape})`);
      const where = `${shapes.join(', ')}; SEED=${base}, shape ${s}`;
      const host = onHost(c, s % 2 ? 'cpu' : 'simt', seed);
      const out = host.run();
      if (!host.values.size) continue;
      assert.ok(Number.isFinite(host.loss()), where);
      for (const [name, values] of host.values) {
        // None is recorded for what the loss does not depend on: then the differences must be 0.
        const grad = out[`d.${name}`] ?? new Float64Array(values.length);
        assert.is(grad.length, values.length);
        const along = (direction: ArrayLike<number>): number => {
          const before = values.slice();
          const at = (step: number): number => {
            for (let e = 0; e < values.length; e++) values[e] = before[e] + step * direction[e];
            return host.loss();
          };
          const slope = (at(EPS) - at(-EPS)) / (2 * EPS);
          values.set(before);
          return slope;
        };
        const check = (numeric: number, analytic: number, what: string, scale = 1): void => {
          const bound = ATOL * scale + RTOL * Math.abs(numeric);
          const off = Math.abs(numeric - analytic);
          assert.ok(off <= bound, `d${name}${what} is ${analytic}, differences say ${numeric}; ${where}`);
        };
        const picked = values.length <= SINGLE ? values.map((_, e) => e) : values.slice(0, SINGLE).map(() => rng.below(values.length));
        for (const e of picked) {
          const unit = new Float64Array(values.length);
          unit[e] = 1;
          check(along(unit), grad[e], `[${e}]`);
        }
        // All elements at once, in a random direction: sqrt(n) errors may add up.
        const direction = values.map(() => rng.normal());
        const slope = direction.reduce((sum, d, e) => sum + d * grad[e], 0);
        check(along(direction), slope, ' along a random direction', Math.sqrt(values.length));
      }
    }
  });
}
test.run();
