// What an engine says and does when its device is lost, and how it begins anew.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDevice, useDevice } from '../engine/device.ts';
import { Engine } from '../engine/engine.ts';
import { DeviceLostError, TesseraeError } from '../engine/errors.ts';
import { dawn, gently, openDawn } from '../engine/node/dawn.ts';
import { add } from '../engine/ops/elementwise.ts';
import { refused } from './support/thrown.ts';

const PROFILE = { profile: 'simt', raiseLimits: false } as const;

test('a device destroyed by its owner is told within 2 s, not waited for', async () => {
  const own = await openDawn(PROFILE);
  const engine = new Engine(await useDevice(own.gpu, { wait: own.wait }));
  const program = engine.compile({ x: 'f32' }, ({ x }) => add({ a: x, b: x }, {}));
  const x = { data: new Float32Array(1000), shape: [1000] };
  const pending = await program.run({ x });
  own.dispose();
  const late = new Promise((_, reject) => setTimeout(reject, 2000, new Error('2 s passed')));
  // What was submitted may still arrive; what comes after may not.
  await Promise.race([pending.read().catch((e: Error) => assert.instance(e, TesseraeError)), late]);
  await refused(Promise.race([program.run({ x }).then((r) => r.read()), late]), /^GPU/, DeviceLostError);
});

test('after a loss the engine begins anew; nothing of before is taken for zeros', async () => {
  const own = await openDawn(PROFILE);
  const engine = new Engine(own);
  const other = new Engine(own);
  const make = () => engine.variable('v', [2], { data: Float32Array.of(1, 2) });
  const compile = (e: Engine) => e.compile({ x: 'f32' }, ({ x }) => add({ a: x, b: x }, {}));
  const x = { data: Float32Array.of(3), shape: [1] };
  const [v, program, others] = [make(), compile(engine), compile(other)];
  assert.equal(Array.from(await engine.read(v)), [1, 2]);
  assert.equal(Array.from((await (await others.run({ x })).read()).y), [6]);
  own.gpu.destroy();
  await refused(engine.read(v), /^GPU device was destroyed/, DeviceLostError);
  await refused(
    engine.finish().then(() => program.run({ x })),
    /^GPU device was destroyed/,
    DeviceLostError,
  );
  await engine.renew();
  await refused(engine.read(v), /^memory: v was released, or lost/, TesseraeError);
  await refused(program.run({ x }), /compile it again/, DeviceLostError);
  await refused(others.run({ x }), /renew the engine, too/, DeviceLostError);
  assert.equal(Array.from(await engine.read(make())), [1, 2]);
  assert.equal(Array.from((await (await compile(engine).run({ x })).read()).y), [6]);
  own.dispose();
  // A device of the application's own comes back only where it was said how.
  const { gpu } = await openDawn(PROFILE);
  const lent = new Engine(await useDevice(gpu, { wait: own.wait }));
  gpu.destroy();
  await refused(lent.read(lent.variable('w', [1])), /destroyed/, DeviceLostError);
  await refused(lent.renew(), /DeviceOptions\.again/, DeviceLostError);
});

test('where devices do not say what adapter they are of, as in some browsers, another goes on all the same', async () => {
  const real = (await dawn().requestAdapter()) as GPUAdapter;
  const silent = {
    info: real.info,
    features: real.features,
    limits: real.limits,
    requestDevice: async (wanted: GPUDeviceDescriptor) => {
      const adapter = (await dawn().requestAdapter()) as GPUAdapter;
      return Object.defineProperty(await adapter.requestDevice(wanted), 'adapterInfo', { value: undefined });
    },
  };
  const own = await openDevice({ requestAdapter: async () => silent } as unknown as GPU, { ...PROFILE, wait: gently });
  using engine = new Engine(own);
  own.gpu.destroy();
  await refused(engine.finish(), /^GPU device was destroyed/, DeviceLostError);
  await engine.renew();
  assert.equal([...(await engine.read(engine.variable('v', [2], { data: Float32Array.of(1, 2) })))], [1, 2]);
  own.dispose();
});

test.run();
