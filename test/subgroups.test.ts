// Results do not depend on the width of subgroups: 4 (SwiftShader), 8 and 16 (lavapipe with vectors of 256 and 512 bits), each in a
// process of its own. `CASES=9` runs more of each kernel's cases.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { adapterOf, onAdapter, withVectors } from './support/on-adapter.ts';
import { goldenCases } from './support/golden.ts';
import type { Width } from './support/subgroup-case.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const cases = Number(process.env.CASES ?? 1);
/** Sizes that no tile divides. */
const golden = goldenCases.find(({ name }) => name.startsWith('odd'))?.path ?? null;

const swiftshader = await adapterOf('swiftshader');
const lavapipe = await adapterOf('lavapipe');
const widths = [
  [4, swiftshader],
  [8, lavapipe && withVectors(lavapipe, 256)],
  [16, lavapipe && withVectors(lavapipe, 512)],
] as const;

for (const [width, adapter] of widths) {
  (adapter ? test : test.skip)(`subgroups of ${width}: kernels and a model's training (SEED=${seed})`, async () => {
    const input = { seed, cases, golden };
    const found = await onAdapter<Width>(adapter!, 'test/support/subgroup-case.ts', 'checkWidth', input);
    assert.equal(found.subgroups, [width, width], found.adapter);
    for (const name of ['gemm', 'attention.forward', 'attention.backward', 'layernorm.forward', 'layernorm.backward'])
      assert.ok(found.kernels.cpu.includes(name), `${name} used no subgroups`);
    assert.ok(found.kernels.simt.includes('layernorm.backward') && found.trials >= 20, `${found.trials} trials`);
    for (const group of ['loss', 'grad', 'train.loss', 'final']) assert.ok(found.groups.includes(group), group);
    assert.equal(found.over, []);
  });
}

for (const [width, adapter] of widths.slice(0, 2)) {
  (adapter ? test : test.skip)(`subgroups of ${width}: products in whole vectors (SEED=${seed})`, async () => {
    const trials = await onAdapter<number>(adapter!, 'test/support/subgroup-case.ts', 'checkVectors', { seed });
    assert.ok(trials >= 15, `${trials} trials`);
  });
}

test.run();
