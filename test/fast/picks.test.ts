// Picks: shape classes, what variants offer, when a pick is used, and the stores that keep tables.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dense, gemm, NT } from '../../kernels/gemm/gemm.ts';
import { type AdapterTraits, type AnyKernel, catalogue, PROFILES, type Settings } from '../../kernels/index.ts';
import { matrixTiles } from '../../kernels/gemm/tune.ts';
import { offers, sizeClass } from '../../kernels/picks.ts';
import { random } from '../../kernels/random/random.ts';
import { resolve } from '../../kernels/restate.ts';
import { summaryOf } from '../../engine/adapter.ts';
import type { Device } from '../../engine/device.ts';
import { PickFolder } from '../../engine/node/pickfolder.ts';
import { PickDatabase } from '../../engine/pickdatabase.ts';
import { asTable, keepPick, loadPicks, type PickStore, type PickTable, picksOf } from '../../engine/picks.ts';
import { FakeIndexedDB } from '../support/fake-indexeddb.ts';
import { traitsOf } from '../../engine/testing/gradient.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const rng = random(seed);
console.log(`SEED=${seed}`);

test('size classes: widths of models are their own, the rest shares one with what is at most an eighth larger', () => {
  for (const width of [1, 12, 15, 16, 64, 96, 192, 384, 576, 768, 1024, 1152, 1280, 2304, 3072, 3840, 4096, 5120])
    assert.is(sizeClass(width), width);
  assert.equal([17, 197, 1088, 4160].map(sizeClass), [18, 208, 1152, 4608]);
  for (let i = 0; i < 1000; i++) {
    const n = 1 + rng.below(2 ** (1 + rng.below(24)));
    const up = sizeClass(n);
    assert.ok(up >= n && up <= 1.125 * n, `${n} became ${up}`);
    assert.is(sizeClass(up), up);
    assert.ok(sizeClass(n + 1) >= up, `${n + 1} is in a smaller class than ${n}`);
  }
});

const ADAPTERS: AdapterTraits[] = PROFILES.flatMap((profile) =>
  [4, 8, 16, 32].map((lanes) => ({
    ...traitsOf(profile),
    subgroupMinSize: lanes,
    subgroupMaxSize: lanes,
    features: new Set(['subgroups', 'shader-f16', 'chromium-experimental-subgroup-matrix']),
    matrices: [lanes === 32 ? { M: 16, N: 16, K: 16 } : { M: 8, N: 8, K: 8 }],
  })),
);

const askedOf = (kernel: AnyKernel, problem: Settings, adapter: AdapterTraits) => {
  const program = resolve(kernel, problem, adapter);
  return { program, asked: { ...program.variant.wgsl.knobs, ...kernel.options, ...problem } };
};

test('what variants offer: first their own choice, at most ten, no two alike, each a program of its own', () => {
  const heavy = new Set<string>();
  for (const adapter of ADAPTERS) {
    for (const kernel of catalogue) {
      for (const problem of kernel.cases) {
        const { program, asked } = askedOf(kernel, problem, adapter);
        const list = offers(program.variant, asked, adapter);
        const where = `${program.shapeClass}, ${adapter.subgroupMinSize} lanes`;
        assert.equal(list[0], program.variant.tune(asked, adapter), where);
        assert.ok(list.length <= 10, `${where}: ${list.length}`);
        if (list.length === 1) continue;
        heavy.add(kernel.name);
        assert.ok(kernel.sizes.length > 0, `${kernel.name} offers a choice and names no sizes: all would share a pick`);
        const codes = list.map((knobs) => {
          const picked = resolve(kernel, problem, { ...adapter, picks: new Map([[program.shapeClass, knobs]]) });
          assert.is(picked.picked, knobs !== list[0], where);
          assert.ok(
            picked.grid.every((n) => Number.isInteger(n) && n > 0 && n <= 65535),
            `${where}: ${picked.grid}`,
          );
          return picked.code;
        });
        assert.is(new Set(codes).size, codes.length, `${where}: two settings give one program`);
      }
    }
  }
  const forward = ['attention.forward', 'gemm', 'layernorm.forward'];
  assert.equal([...heavy].sort(), ['attention.backward', ...forward, 'layernorm.backward', 'reduce.columns'].sort());
});

test('gemm: tiles for matrices of any size and subgroups of any: lanes finish a row of matrices in whole steps, and one at least', () => {
  for (const [M, N, K] of [
    [8, 8, 8],
    [8, 16, 16],
    [16, 8, 8],
    [16, 16, 8],
    [16, 16, 16],
    [32, 32, 16],
  ]) {
    for (const subgroupMaxSize of [8, 16, 32, 64, 128]) {
      const most = { maxWorkgroupInvocations: 1024, maxWorkgroupStorageBytes: 65536 };
      const tiles = matrixTiles({ ...ADAPTERS[0], ...most, matrices: [{ M, N, K }], subgroupMaxSize });
      for (const t of tiles) {
        const steps = (t.MM * t.RN * t.MN) / 4 / t.SUBGROUP;
        assert.ok(Number.isInteger(steps) && steps >= 1, `${JSON.stringify(t)}: ${steps} steps`);
      }
      if (M === 8 && N === 8) assert.ok(tiles.length > 0, `${M} x ${N} x ${K}, ${subgroupMaxSize} lanes`);
    }
  }
});

test('a pick is used in its class alone, and only where the variant still offers it', () => {
  const adapter = { ...traitsOf('cpu'), subgroupMinSize: 16, subgroupMaxSize: 16 };
  const problem = (m: number) => ({ ...dense({ m, n: 192, k: 768, LAYOUT: NT }), LAYOUT: NT });
  const kernel = gemm as unknown as AnyKernel;
  const { program, asked } = askedOf(kernel, problem(1088), adapter);
  const list = offers(program.variant, asked, adapter);
  const other = list[list.length - 1];
  const wanted = (m: number, knobs: Settings) =>
    resolve(kernel, problem(m), { ...adapter, picks: new Map([[program.shapeClass, knobs as never]]) });
  const used = wanted(1088, other);
  assert.ok(used.picked);
  for (const [name, value] of Object.entries(other)) assert.is(used.knobs[name], value);
  assert.not.equal(used.code, program.code);
  assert.ok(wanted(1150, other).picked, '1150 rows are of the same class');
  assert.not(wanted(1200, other).picked, '1200 rows are not');
  // Of another version, or written by hand: a tile that does not exist, and one whose program could not run.
  const strangers: Settings[] = [{ TM: 20 }, { TM: 1000, TN: 1000 }, { SG: 7 }, { TN: true }];
  for (const strange of strangers) {
    const program2 = wanted(1088, { ...other, ...strange });
    assert.not(program2.picked);
    assert.is(program2.code, program.code);
  }
});

const pick = (TM: number) => ({ knobs: { TM, FAST: true }, own: 2, best: 1.5 });
const table = (adapter: string, picks: PickTable['picks']): PickTable => ({ version: 1, adapter, picks });

test('tables: later ones go before earlier ones, and what is no table is refused', () => {
  const merged = picksOf(table('kind', { a: pick(1), b: pick(2) }), null, table('id', { b: pick(3) }));
  assert.equal([...merged], [
    ['a', { TM: 1, FAST: true }],
    ['b', { TM: 3, FAST: true }],
  ] as never);
  assert.ok(asTable(table('x', {})) && asTable(table('x', { a: pick(1) })));
  const bad = { ...pick(1), knobs: { TM: '8' } };
  for (const value of [
    null,
    7,
    'x',
    [],
    {},
    { ...table('x', {}), version: 2 },
    { ...table('x', {}), adapter: 3 },
    table('x', [] as never),
    table('x', { a: null } as never),
    table('x', { a: bad } as never),
    table('x', { a: { ...pick(1), best: Number.NaN } }),
    table('x', { a: { ...pick(1), own: 0 } }),
  ])
    assert.is(asTable(value), null, JSON.stringify(value));
});

test('kinds of adapters: software drivers differ by major version and lanes, cards of a known family by neither driver nor model', () => {
  const kindOf = (more: object): string =>
    summaryOf({
      vendor: 'mesa',
      architecture: 'software',
      device: 'x',
      subgroupMinSize: 8,
      subgroupMaxSize: 8,
      ...more,
    } as never).kind;
  const older = kindOf({ description: 'llvmpipe: Mesa 25.0.7-2~bpo12+1 (LLVM 15.0.6) 0.0.1' });
  const newer = kindOf({ description: 'llvmpipe: Mesa 26.2.6-1 (LLVM 22.1.8)' });
  assert.is(older, 'mesa software, driver 25, subgroups 8-8');
  assert.is(newer, 'mesa software, driver 26, subgroups 8-8');
  assert.is(kindOf({ device: 'y', description: 'llvmpipe: Mesa 26.3.0 (LLVM 22.1.8)' }), newer);
  assert.is.not(kindOf({ description: 'llvmpipe: Mesa 26.2.6-1 (LLVM 22.1.8)', subgroupMaxSize: 16 }), newer);
  assert.match(kindOf({ description: '', isFallbackAdapter: true }), 'driver unknown');
  const card = (description: string) => kindOf({ vendor: 'nvidia', architecture: 'hopper', description });
  assert.is(card('NVIDIA: 570.1'), card('NVIDIA: 580.2'));
  // Newer than Dawn's list: two models have nothing in common that it could tell.
  const nameless = (device: string) => kindOf({ vendor: 'nvidia', architecture: '', device, description: '' });
  assert.is(nameless('0x2335'), 'nvidia 0x2335, subgroups 8-8');
  assert.is.not(nameless('0x2335'), nameless('0x2901'));
});

const folder = mkdtempSync(join(tmpdir(), 'tesserae-picks-'));
test.after(() => rmSync(folder, { recursive: true }));

const STORES: Record<string, () => PickStore> = {
  'a folder': () => new PickFolder(join(folder, 'deep', 'picks')),
  IndexedDB: () => new PickDatabase(shared),
};
const shared = new FakeIndexedDB();

for (const [name, open] of Object.entries(STORES)) {
  test(`${name} keeps a table for every adapter`, async () => {
    assert.equal([await open().read('a'), await open().list()], [null, []]);
    await open().clear();
    // Names that a file system would not take, and two that differ in what it could lose.
    const ids = ['mesa software, llvmpipe: Mesa 26 (512 bits)', 'mesa software/ llvmpipe: Mesa 26 (512 bits)', '', 'ü'];
    for (const [i, id] of ids.entries()) await open().write(table(id, { class: pick(i + 1) }));
    for (const [i, id] of ids.entries()) assert.equal(await open().read(id), table(id, { class: pick(i + 1) }));
    await open().write(table(ids[0], { other: pick(9) }));
    assert.equal(await open().read(ids[0]), table(ids[0], { other: pick(9) }));
    assert.equal((await open().list()).map((t) => t.adapter).sort(), [...ids].sort());
    await open().clear();
    assert.equal([await open().read(ids[1]), await open().list()], [null, []]);
  });
}

test('a device takes what a store keeps of it, pick by pick, and does without where that is damaged', async () => {
  const adapter = summaryOf({ vendor: 'v', architecture: 'a', device: '', description: '' } as never);
  const device = { adapter, picks: new Map() } as unknown as Device;
  const database = new FakeIndexedDB();
  const store = new PickDatabase(database);
  await keepPick(device, store, 'first', pick(1));
  await keepPick(device, store, 'second', pick(2));
  await keepPick(device, store, 'first', pick(3));
  assert.is(device.picks.size, 0);
  await loadPicks(device, store);
  assert.equal([...device.picks].sort(), [
    ['first', pick(3).knobs],
    ['second', pick(2).knobs],
  ] as never);
  database.overwrite('tesserae picks', 'tables', adapter.id, { version: 1 });
  const said = await loadPicks(device, store).catch((error: Error) => error.message);
  assert.match(String(said), /damaged/);
  assert.is(device.picks.size, 0);
});

test('a damaged table is told by its path; a folder has no other files in it', async () => {
  const store = new PickFolder(join(folder, 'damaged'));
  await store.write(table('a', { class: pick(1) }));
  const names = readdirSync(join(folder, 'damaged'));
  assert.is(names.length, 1);
  for (const text of ['', '{', '{"version": 1}', '[]']) {
    writeFileSync(join(folder, 'damaged', names[0]), text);
    const message = await store.read('a').then(
      () => 'was read',
      (error: Error) => error.message,
    );
    assert.match(message, names[0]);
    assert.match(message, /damaged.*tesserae tune --clear/);
  }
  await store.clear();
  assert.equal(readdirSync(join(folder, 'damaged')), []);
  const database = new FakeIndexedDB();
  await new PickDatabase(database).write(table('a', {}));
  database.overwrite('tesserae picks', 'tables', 'a', { version: 1 });
  const said = await new PickDatabase(database).read('a').catch((error: Error) => error.message);
  assert.match(String(said), /damaged/);
});

test.run();
