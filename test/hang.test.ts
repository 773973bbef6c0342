// A device that does not answer is given up in time, and the kernel that it was at is named: by a kernel that really takes too long.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { DeviceHungError } from '../engine/errors.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { add } from '../engine/ops/elementwise.ts';
import { defineKernel, variant, type Wgsl } from '../kernels/kernel.ts';

const TEXT = `// y = x after many turns of a generator that no compiler can leave out.
struct Params { turns: u32 }
@group(0) @binding(0) var<uniform> u: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (1)
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // (1)
@compute @workgroup_size(1, 1, 1)
fn main() {
  var s = bitcast<u32>(x[0]);
  for (var i = 0u; i < u.turns; i++) { s = (s ^ (s >> 7u)) * 1664525u + 1013904223u; }
  y[0] = x[0] + select(0.0, 1.0, s == 0u);
}
`;
const wgsl: Wgsl<{ x: ['read', 'f32']; y: ['read_write', 'f32'] }, { turns: 'u32' }, Record<never, number>> = {
  text: TEXT,
  bindings: {
    x: { binding: 1, access: 'read', type: 'f32' },
    y: { binding: 2, access: 'read_write', type: 'f32' },
  },
  params: { turns: { type: 'u32', offset: 0 } },
  paramsBytes: 16,
  knobs: {},
};
const spin = defineKernel({
  name: 'test.spin',
  variants: { simt: variant(wgsl, { grid: () => [1, 1, 1] }) },
  shapes: () => ({ x: [1], y: [1] }),
  flops: () => 0,
  reference: () => {},
  cases: [{ turns: 1 }],
});

const LIMIT_MS = 2500;
const SPUN_MS = 8000;
const x = { data: Float32Array.of(3), shape: [1] };

function programOf(engine: Engine, turns: number) {
  return engine.compile({ x: 'f32' }, (inputs, t) => {
    const before = add({ a: inputs.x, b: inputs.x }, {}).y;
    const { y } = t.run(spin, { x: before }, { turns });
    return { y: add({ a: y, b: y }, {}).y };
  });
}

async function timed(engine: Engine, turns: number): Promise<number> {
  const program = programOf(engine, turns);
  const once = async (): Promise<void> =>
    assert.equal(Array.from((await (await program.run({ x })).read()).y), [12], 'it computes what it should');
  await once();
  const began = performance.now();
  await once();
  return performance.now() - began;
}

test('the first time it is told what was in flight, the second time the very kernel', async () => {
  const slow: string[] = [];
  const watch = { limitMs: LIMIT_MS, slow: (line: string) => void slow.push(line) };
  const device = await openDawn({ profile: 'simt', watch });
  const engine = new Engine(device);
  let turns = 2 ** 20;
  let took = await timed(engine, turns);
  for (; took < 100; took = await timed(engine, turns)) turns *= 4;
  turns = Math.min(2 ** 32 - 1, Math.ceil((turns * SPUN_MS) / took));
  const hung = async (): Promise<DeviceHungError> => {
    const result = programOf(engine, turns).run({ x });
    const error = await result.then((r) => r.read()).catch((e: Error) => e);
    assert.instance(error, DeviceHungError, (error as Error).stack);
    return error as unknown as DeviceHungError;
  };
  const first = await hung();
  console.log(first.message);
  assert.is(first.kernel, null);
  assert.match(
    first.message,
    /^(GPU|software adapter): the device has not come back for [\d.]+ s, with 3 dispatches in flight/,
  );
  assert.match(first.message, /test\.spin x1/);
  assert.match(slow.join('\n'), /no answer for [\d.]+ s.*test\.spin.*still waiting/);
  assert.ok(device.lost);
  await engine.renew();
  const second = await hung();
  console.log(second.message);
  assert.is(second.kernel, `test.spin (turns ${turns})`);
  assert.match(second.message, /^(GPU|software adapter): test\.spin \(turns \d+\) has not come back for [\d.]+ s$/);
  // Everything that comes after says the same, until the engine begins anew.
  const third = await programOf(engine, 1)
    .run({ x })
    .catch((e: Error) => e);
  assert.instance(third, DeviceHungError);
});

test.run();
