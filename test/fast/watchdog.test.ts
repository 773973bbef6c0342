// When a device is given up: no sooner than the work in flight may take, not while anything comes back, and not because the machine slept.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DeviceHungError } from '../../engine/errors.ts';
import type { Step } from '../../engine/plan.ts';
import { Watchdog } from '../../engine/watchdog.ts';

const step = (name: string): Step => ({ call: { kernel: { name }, problem: { n: 3 } } }) as unknown as Step;
const work = (names: string[], flops = 0) => ({ steps: names.map(step), flops, traffic: 0, first: false });
// What is never answered keeps no process alive.
const alive = setInterval(() => {}, 1000);
test.after(() => clearInterval(alive));
const never = new Promise<never>(() => {});
/** The error of a guard, or null where it still waits after so many ms. */
const after = (ms: number, guarded: Promise<unknown>): Promise<unknown> =>
  Promise.race([guarded.catch((e: Error) => e), new Promise((r) => setTimeout(r, ms, null))]);

test('a single kernel is named with its sizes, of several the most frequent; a line comes first', async () => {
  const lines: string[] = [];
  const alone = new Watchdog(true, { limitMs: 60, slow: (line) => lines.push(line) });
  alone.begin(work(['gemm.vec']));
  const error = (await alone.guard(never).catch((e: Error) => e)) as DeviceHungError;
  assert.instance(error, DeviceHungError);
  assert.is(error.kernel, 'gemm.vec (n 3)');
  assert.match(error.message, /^software adapter: gemm\.vec \(n 3\) has not come back for 0\.\d s$/);
  assert.is(lines.length, 1);
  assert.match(lines[0], /^software adapter: no answer for 0\.\d s, .*; still waiting \(it computes on the CPU, .*\)$/);
  const card = new Watchdog(false, { limitMs: 60, slow: (line) => lines.push(line) });
  card.begin(work(['a', 'b']));
  assert.match(
    ((await card.guard(never).catch((e: Error) => e)) as Error).message,
    /^GPU: the device has not come back/,
  );
  assert.match(lines[1], /^GPU: no answer .*still waiting$/);
  const many = new Watchdog(true, { limitMs: 60 });
  many.begin(work(['a', 'b', 'b']));
  many.begin(work(['c', 'd', 'e', 'f']));
  const other = (await many.guard(never).catch((e: Error) => e)) as DeviceHungError;
  assert.is(other.kernel, null);
  assert.match(other.message, /with 7 dispatches in flight \(b x2, a x1, .* and 1 kernels more\)$/);
});

test('work that may take long is waited for, and so is what follows other answers', async () => {
  const patient = new Watchdog(true, { limitMs: 20 });
  patient.begin(work(['gemm.vec'], 1e12));
  assert.is(await after(200, patient.guard(never)), null);
  const done = new Watchdog(false, { limitMs: 20 });
  const first = done.begin(work(['gemm.vec'], 1e13));
  done.begin(work(['b']));
  first();
  assert.instance(await after(5000, done.guard(never)), DeviceHungError, 'what is done is no excuse any more');
});

test('work that nothing is read of is over when all has been waited for', async () => {
  const watchdog = new Watchdog(true, { limitMs: 20 });
  watchdog.begin(work(['a', 'a'], 1e13));
  const done = watchdog.until();
  watchdog.begin(work(['b']));
  done();
  const error = (await after(5000, watchdog.guard(never))) as DeviceHungError;
  assert.match(error.message, /^software adapter: b /, 'what is done is neither named nor an excuse');
  const idle = watchdog.until();
  watchdog.begin(work(['c']));
  idle();
  watchdog.until()();
  assert.is(await after(5, watchdog.guard(never)), null);
});

test('a machine that slept is not a device that hangs', async () => {
  let now = 0;
  const watchdog = new Watchdog(true, { limitMs: 40 }, () => now);
  watchdog.begin(work(['a']));
  const guarded = watchdog.guard(never);
  now += 3_600_000; // an hour passes between two looks
  assert.is(await after(100, guarded), null);
});

test('after a hang as many runs as led there, and some more, are made call by call', () => {
  const watchdog = new Watchdog(true);
  for (let i = 0; i < 7; i++) assert.not.ok(watchdog.run());
  watchdog.kept();
  for (let i = 0; i < 3; i++) assert.not.ok(watchdog.run());
  watchdog.restart(true);
  let careful = 0;
  while (watchdog.run()) careful++;
  assert.is(careful, 3 + 10);
  watchdog.restart(false);
  assert.not.ok(watchdog.run());
});

test.run();
