// What training tells where there is no terminal: few lines, the last one always, and times that a resume does not spoil.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { lineReporter } from '../../mae/cli/progress.ts';
import { makeStanding } from '../../mae/cli/benchreport.ts';
import { duration } from '../../mae/durations.ts';

const report = (step: number) => ({ epoch: 1, step, loss: 0.5, lr: 1e-3, imagesPerSecond: 100 });

function watched() {
  const lines: string[] = [];
  const clock = { at: 0 };
  const reporter = lineReporter(
    (line) => lines.push(line),
    () => clock.at,
  );
  return { lines, clock, reporter };
}

test('a bench says where it stands: a plain line now and then, on a terminal one line that is rewritten', () => {
  let written = '';
  const clock = { at: 0 };
  const stream = (isTTY: boolean) => ({ isTTY, columns: 20, write: (text: string) => !!(written += text) });
  const plain = makeStanding(stream(false), () => clock.at * 1000);
  for (; clock.at < 25; clock.at++) plain(`kernel ${clock.at}`);
  plain('');
  assert.is(written, 'kernel 0\nkernel 10\nkernel 20\n');
  written = '';
  const live = makeStanding(stream(true), () => 0);
  live('a line that is longer than the terminal');
  live('');
  assert.is(written, '\r\x1b[Ka line that is long\r\x1b[K');
});

test('a line when ten seconds and a twentieth have passed, or a minute', () => {
  const { lines, clock, reporter } = watched();
  reporter.start(1000, 0);
  for (let step = 1; step <= 1000; step++) {
    clock.at = step; // a second a step: a twentieth takes 50
    reporter.step(report(step));
  }
  reporter.finish();
  assert.is(lines.length, 20);
  const slow = watched();
  slow.reporter.start(100000, 0);
  for (let step = 1; step <= 600; step++) {
    slow.clock.at = step;
    slow.reporter.step(report(step));
  }
  assert.is(slow.lines.length, 10);
  const quick = watched();
  quick.reporter.start(100, 0);
  for (let step = 1; step <= 100; step++) {
    quick.clock.at = step / 100;
    quick.reporter.step(report(step));
  }
  assert.is(quick.lines.length, 0);
  quick.reporter.finish();
  assert.is(quick.lines.length, 1);
  assert.match(quick.lines[0], /^100 % {2}epoch 2 {2}loss 0\.5000 .* 100 images\/s {2}ETA 0:00$/);
});

test('the time that is left counts from where this process began', () => {
  const { lines, clock, reporter } = watched();
  reporter.start(1000, 900);
  clock.at = 60;
  reporter.step(report(950));
  assert.match(lines[0], /^ 95 % .*ETA 1:00$/);
});

test('durations', () => {
  const of = [0, 59.6, 125, 3725, 200_000, Number.NaN, Number.POSITIVE_INFINITY].map(duration);
  assert.equal(of, ['0:00', '1:00', '2:05', '1:02:05', '2 d 7 h', '-', '-']);
});

test.run();
