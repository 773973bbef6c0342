// Subgroups are used only where a probe finds them right: it must accept every adapter that is, and refuse what is a little off.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { useDevice } from '../engine/device.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { probeSubgroups, runSubgroups, subgroupsAreRight } from '../engine/probe.ts';

/** Subgroup matrices bring subgroups along. */
const NO_SUBGROUPS = ['subgroups', 'chromium-experimental-subgroup-matrix'];
const device = await openDawn({ profile: 'simt', raiseLimits: false });
const has = device.gpu.features.has('subgroups');
const onSubgroups = has ? test : test.skip;
test.after(() => device.dispose());

onSubgroups('this adapter adds up, broadcasts and shuffles as the host does', async () => {
  assert.is(await probeSubgroups(device.gpu, device.wait), true);
  device.check();
});

onSubgroups('one wrong word in any thread or field is noticed', async () => {
  const right = await runSubgroups(device.gpu, device.wait);
  for (let i = 0; i < right.length; i++) {
    const wrong = right.slice();
    wrong[i] ^= 1;
    assert.is(subgroupsAreRight(wrong), false, `word ${i}`);
  }
});

onSubgroups('threads numbered otherwise than lanes are noticed', async () => {
  const right = await runSubgroups(device.gpu, device.wait);
  const row = right.length / 256;
  const swapped = right.slice();
  swapped.set(right.subarray(0, row), row);
  swapped.set(right.subarray(row, 2 * row), 0);
  assert.is(subgroupsAreRight(swapped), false);
});

/** The device, except that one of its functions is another. */
const broken = (name: string, instead: unknown): GPUDevice =>
  new Proxy(device.gpu, {
    get: (gpu, key) => {
      const value = key === name ? instead : Reflect.get(gpu, key);
      return typeof value === 'function' ? value.bind(gpu) : value;
    },
  });
const refuse = () => Promise.reject(new Error('driver'));

onSubgroups(
  'a driver that fails to build the probe, or to give its answer, leaves a device without subgroups',
  async () => {
    const unbuilt = await useDevice(broken('createComputePipelineAsync', refuse), { wait: device.wait });
    assert.not(unbuilt.traits.features.has('subgroups'));
    assert.equal(unbuilt.traits.matrices, []);
    const unread = await useDevice(device.gpu, { wait: (promise) => device.wait(promise).then(refuse) });
    assert.not(unread.traits.features.has('subgroups'));
    assert.is(unread.traits.profile, 'simt');
    assert.ok((await useDevice(device.gpu, { wait: device.wait })).traits.features.has('subgroups'));
    device.check();
  },
);

test('a device without the feature is refused, and stays usable', async () => {
  using without = await openDawn({ profile: 'simt', raiseLimits: false, without: NO_SUBGROUPS });
  assert.is(await probeSubgroups(without.gpu, without.wait), false);
  without.check();
});
test.run();
