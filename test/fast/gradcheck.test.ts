// Every op's recorded backward against finite differences in f64 on the kernels' references, at fresh random ugly shapes.
// `OP=linear SEED=1 node … test/fast/gradcheck.test.ts` repeats one op; SHAPES=500 tries more of them.
import { readdirSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { gradcheck } from '../../engine/testing/gradcheck.ts';
import { ROWS } from '../support/op-rows.ts';

const SHAPES = Number(process.env.SHAPES ?? 12);
const base = Number(process.env.SEED ?? Date.now() % 2 ** 31);

/** What engine/ops exports besides ops: pieces that ops record with, and constants. */
const NOT_OPS: readonly string[] = [
  'product',
  'weightGradients',
  'wantColumnSums',
  'columnParts',
  'columnSum',
  'stackedSums',
  'sumInto',
  'cast',
  'CONV_ORDER',
  'PATCHIFY_ORDER',
];

test('every op that engine/ops exports has a row', async () => {
  const folder = new URL('../../engine/ops/', import.meta.url);
  const known = new Set([...ROWS.map((r) => r.op), ...NOT_OPS]);
  const exported: string[] = [];
  for (const file of readdirSync(folder).filter((f) => f.endsWith('.ts'))) {
    exported.push(...Object.keys(await import(new URL(file, folder).href)));
  }
  const unknown = exported.filter((name) => !known.has(name));
  assert.equal(unknown, [], 'exported, but neither in ROWS nor among NOT_OPS');
  const gone = [...known].filter((name) => !exported.includes(name));
  assert.equal(gone, [], 'in ROWS or NOT_OPS, but not exported');
});

for (const [i, row] of ROWS.entries()) {
  if (process.env.OP && process.env.OP !== row.op) continue;
  test(`${row.op} ${row.label}`, () => {
    for (let s = 0; s < SHAPES; s++) {
      const seed = base + 1000 * i + s;
      try {
        gradcheck(row.draw(random(seed)), s % 2 ? 'cpu' : 'simt', seed);
      } catch (error) {
        throw new Error(`${(error as Error).message}; SEED=${base}, shape ${s}`, { cause: error });
      }
    }
  });
}
test.run();
