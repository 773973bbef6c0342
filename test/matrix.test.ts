// Every kernel with a variant on subgroup matrices, at every case, against its f64 reference;
// conformance cases; and the tiles and configurations that tuning chooses only on other adapters. Skipped where the adapter has no matrices.
// `KERNEL=gemm node … test/matrix.test.ts` runs one room.
import { readFileSync } from 'node:fs';
import { test as always } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { weightGradients } from '../engine/ops/weight-gradients.ts';
import { attentionBackward, attentionForward } from '../kernels/attention/attention.ts';
import { dense, gemm, NT, TN } from '../kernels/gemm/gemm.ts';
import { matrixTile } from '../kernels/gemm/tune.ts';
import { type AnyKernel, catalogue, type Settings, type Variant } from '../kernels/index.ts';
import { random } from '../kernels/random/random.ts';
import { resolve } from '../kernels/restate.ts';
import { parseSafetensors, type Safetensors } from '../engine/safetensors.ts';
import type { Tensor } from '../engine/tensor.ts';
import { runConformance } from '../mae/conformance.ts';
import { makeCase } from './support/conformance-case.ts';
import { goldenCases } from './support/golden.ts';
import { compare, POISONS, prepare } from './support/kernel-run.ts';

const only = process.env.KERNEL;
const base = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const device = await openDawn({ profile: 'matrix', raiseLimits: false });
const { traits } = device;
const test = traits.matrices.length ? always : always.skip;
always.after(() => device.dispose());

const kernel = gemm as AnyKernel;
const whole = (sizes: { m: number; n: number; k: number; LAYOUT: number }): Settings => ({ ...dense(sizes), ...sizes });

for (const room of catalogue.filter((k) => k.variants.matrix && (!only || k.name.startsWith(only)))) {
  test(`${room.name} (SEED=${base})`, async () => {
    let ran = 0;
    for (const [i, problem] of room.cases.entries()) {
      const trial = prepare(room, problem as Settings, device, base + i);
      if (trial.program.profile !== 'matrix') continue;
      for (const poison of POISONS) await compare(room, trial, device, poison);
      ran++;
    }
    assert.ok(ran > 0, 'no case ran on matrices');
  });
}

test('gemm: subgroups and matrices in unequal numbers', async () => {
  const tiles = [
    { SM: 1, SN: 2, RM: 2, RN: 1, BK: 16 },
    { SM: 2, SN: 1, RM: 1, RN: 3, BK: 32 },
    // Eights of a row of A that do not divide the threads: dbias.
    { SM: 1, SN: 2, RM: 3, RN: 1, BK: 16 },
  ];
  const eights = kernel.variants.matrix as Variant;
  const halves = { A16: true, B16: true };
  for (const [i, tile] of tiles.entries()) {
    for (const LAYOUT of [NT, TN]) {
      for (const [tried, sizes, stored] of [
        [eights, { m: 56, n: 72, k: 88 }, halves],
        [eights.otherwise as Variant, { m: 52, n: 60, k: 76 }, {}],
      ] as const) {
        const tune: Variant['tune'] = (p, adapter) => ({ ...tried.tune(p, adapter), ...tile });
        const forced: AnyKernel = { ...kernel, variants: { ...kernel.variants, matrix: { ...tried, tune } } };
        const trial = prepare(
          forced,
          { ...whole({ ...sizes, LAYOUT }), ...stored, DBIAS: LAYOUT === TN },
          device,
          base + i,
        );
        await compare(forced, trial, device, Number.NaN);
      }
    }
  }
});

for (const [rows, out, label] of [
  [3200, 768, 'finished with its weight gradient'],
  [480, 5004, 'finished alone, for the product is not split'],
] as const) {
  test(`a large bias gradient, ${label} (SEED=${base})`, async () => {
    const rng = random(base);
    const draw = (n: number) => Float32Array.from({ length: n }, () => 0.1 + rng.normal());
    const dy = { data: draw(rows * out), shape: [rows, out] };
    const x = { data: draw(rows * 4), shape: [rows, 4] };
    using engine = new Engine(device);
    const program = engine.compile({ dy: 'f32', x: 'f32' }, (given, t) => {
      const sizes = { rows, out, k: 4, w: t.empty([out, 4]) };
      const { dw, db } = weightGradients(t, { ...given, ...sizes }, { w: true, b: true });
      return { dw: dw as Tensor, db: db as Tensor };
    });
    const { db } = await (await program.run({ dy, x })).read();
    for (let c = 0; c < out; c++) {
      let want = 0;
      for (let r = 0; r < rows; r++) want += dy.data[r * out + c];
      assert.ok(Math.abs(db[c] - want) <= 1e-6 * rows, `column ${c}: ${db[c]} instead of ${want}`);
    }
  });
}

const others = [
  { M: 16, N: 16, K: 16, subgroup: 32, invocations: 1024, bytes: 49152 },
  { M: 16, N: 16, K: 16, subgroup: 64, invocations: 1024, bytes: 32768 },
  { M: 8, N: 16, K: 16, subgroup: 32, invocations: 256, bytes: 16384 },
  { M: 8, N: 8, K: 8, subgroup: 32, invocations: 256, bytes: 16384 },
].map(({ subgroup, invocations, bytes, ...shape }) => ({
  ...traits,
  matrices: [shape],
  subgroupMaxSize: subgroup,
  maxWorkgroupInvocations: invocations,
  maxWorkgroupStorageBytes: bytes,
}));

async function valid(room: AnyKernel, problem: Settings, other: (typeof others)[number]): Promise<void> {
  const { profile, code, knobs } = resolve(room, problem, other);
  assert.is(profile, 'matrix');
  const [{ M, N, K }] = other.matrices;
  assert.equal([knobs.MM, knobs.MN, knobs.MK], [M, N, K]);
  const { messages } = await device.gpu.createShaderModule({ code }).getCompilationInfo();
  assert.equal(
    messages.filter(({ type }) => type === 'error').map(({ message }) => message),
    [],
  );
}

test('gemm: texts for the matrices of other adapters are valid', async () => {
  for (const other of others) {
    for (const edge of [64, 4096]) await valid(kernel, whole({ m: edge, n: edge, k: 256, LAYOUT: TN }), other);
  }
  assert.is(matrixTile({ ...dense({ m: 3, n: 5, k: 7 }), LAYOUT: NT }, traits), null);
});

test('attention: texts for the matrices of other adapters are valid, with subgroups of one size and of several', async () => {
  for (const other of others) {
    for (const subgroupMinSize of [other.subgroupMaxSize, 8]) {
      for (const [tokens, dim, HALF] of [
        [50, 64, true],
        [197, 32, true],
        [257, 80, false],
      ] as const) {
        const problem = { batch: 1, tokens, heads: 1, dim, scale: 1, HALF };
        for (const room of [attentionForward, attentionBackward]) {
          await valid(room as AnyKernel, problem, { ...other, subgroupMinSize });
        }
      }
    }
  }
});

const cases: Record<string, (engine: Engine) => Safetensors> = { 'a fresh case': (engine) => makeCase(engine, base) };
for (const { name, path } of goldenCases) cases[name] = () => parseSafetensors(readFileSync(path));

for (const [name, file] of Object.entries(cases)) {
  test(`conformance: ${name} (SEED=${base})`, async () => {
    using engine = new Engine(device);
    const { groups, passed } = await runConformance(engine, file(engine));
    assert.equal(
      groups.filter((g) => !(g.error <= g.bound)).map((g) => g.group),
      [],
    );
    assert.ok(passed && groups.length >= 10);
  });
}

always.run();
