// Cases computed elsewhere are met within their bounds on both profiles, in f32 and f16 (matrix.test.ts has profile matrix), and a case that is wrong by little is told to be wrong.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Profile } from '../kernels/kernel.ts';
import type { Device } from '../engine/device.ts';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import type { Precision } from '../engine/trace.ts';
import { writeFileAtomic } from '../engine/node/files.ts';
import { rawTensor, viewAs } from '../engine/rawtensor.ts';
import { parseSafetensors, type Safetensors } from '../engine/safetensors.ts';
import { writeSafetensors } from '../engine/safetensors-write.ts';
import { runConformance } from '../mae/conformance.ts';
import { makeCase } from './support/conformance-case.ts';
import { goldenCases } from './support/golden.ts';
import { cli } from './support/spawn-cli.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const GROUPS = [
  'ids_keep',
  'ids_restore',
  'mask',
  'latent',
  'pred',
  'loss',
  'act',
  'grad',
  'train.loss',
  'final',
  'probe',
];

/** One a profile for all tests: Dawn compiles a shader once a device. */
const devices = new Map<Profile, Device>();
test.after(() => {
  for (const device of devices.values()) device.dispose();
});

async function judged(profile: Profile, file: (engine: Engine) => Safetensors, precision: Precision = 'f32') {
  const device = devices.get(profile) ?? (await openDawn({ profile, raiseLimits: false }));
  devices.set(profile, device);
  using engine = new Engine(device, { precision });
  return await runConformance(engine, file(engine));
}

const over = ({ groups }: Awaited<ReturnType<typeof judged>>) =>
  groups.filter((g) => !(g.error <= g.bound)).map((g) => g.group);

for (const [profile, precision] of [
  ['cpu', 'f32'],
  ['simt', 'f32'],
  ['cpu', 'f16'],
  ['simt', 'f16'],
] as const) {
  test(`${profile}, ${precision}: a fresh case by the f64 references (SEED=${seed})`, async () => {
    const result = await judged(profile, (engine) => makeCase(engine, seed), precision);
    assert.equal(over(result), []);
    assert.ok(result.passed);
    assert.equal(result.groups.map((g) => g.group).sort(), [...GROUPS].sort());
    assert.equal(result.missing, ['other']);
  });

  for (const { name, path } of goldenCases) {
    test(`${profile}, ${precision}: ${name}`, async () => {
      const result = await judged(profile, () => parseSafetensors(readFileSync(path)), precision);
      assert.equal(over(result), []);
      assert.ok(result.passed && result.groups.length > 10);
    });
  }
}

/** The case with one number of a tensor changed. */
function spoil(file: Safetensors, name: string, change: (value: number) => number): Safetensors {
  const tensor = file.tensors.get(name)!;
  const dtype = tensor.dtype as 'F32' | 'I32';
  const data = viewAs(tensor, dtype).slice();
  data[1] = change(data[1]);
  return { ...file, tensors: new Map(file.tensors).set(name, rawTensor(dtype, tensor.shape, data as never)) };
}

test('one wrong number in a group is over its bound and named, and other groups are not', async () => {
  const wrong: Record<string, (value: number) => number> = {
    ids_restore: (v) => v + 1,
    mask: (v) => 1 - v,
    pred: (v) => v + 1,
    'grad.blocks.1.mlp.fc1.weight': (v) => v + 1,
    'train.loss': (v) => v * 1.0001,
    'final.norm.bias': (v) => v + 0.01,
    'probe.bn.running_var': (v) => v * 1.01,
  };
  const spoiled = (made: Safetensors) =>
    Object.entries(wrong).reduce((file, [name, change]) => spoil(file, name, change), made);
  const result = await judged('simt', (engine) => spoiled(makeCase(engine, seed)));
  assert.not.ok(result.passed);
  const found = result.groups.filter((g) => !(g.error <= g.bound)).map((g) => g.worst);
  assert.equal(found.sort(), Object.keys(wrong).sort());
});

test('the command: a table, exit 1 when wrong, what was not computed, and a dump that is itself right', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tesserae-case-'));
  try {
    using device = await openDawn();
    using engine = new Engine(device);
    const made = makeCase(engine, seed + 1);
    const [right, wrong, dump] = ['right', 'wrong', 'dump'].map((name) => join(folder, `${name}.safetensors`));
    const { tensors } = spoil(made, 'pred', (v) => v + 1);
    await writeFileAtomic(right, writeSafetensors(made.tensors, made.metadata));
    await writeFileAtomic(wrong, writeSafetensors(tensors, made.metadata));
    const bad = await cli(['conformance', wrong, '--profile', 'simt', '--dump', dump]);
    assert.is(bad.code, 1, bad.err);
    assert.match(bad.out, /^pred +1 .* over, worst: pred$/m);
    assert.match(bad.out, /^other +not computed by this version yet$/m);
    assert.match(bad.out, /1 of 11 groups are over their bounds/);
    // Held against the dump, the case must be met again: same names, same numbers.
    const dumped = parseSafetensors(readFileSync(dump));
    const again = await judged('simt', () => ({ ...made, tensors: new Map([...made.tensors, ...dumped.tensors]) }));
    assert.equal(
      again.groups.filter((g) => g.error !== 0),
      [],
    );
    assert.ok(dumped.tensors.size >= 2 * [...made.tensors.keys()].filter((n) => n.startsWith('final.')).length);
    const good = await cli(['conformance', right]);
    assert.is(good.code, 0, good.err + good.out);
    assert.match(good.out, /all 11 groups are within their bounds/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
