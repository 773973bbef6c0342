// Benches without a device: every kernel is in the catalogue's bench, comparisons tell changes from noise, traces and timings hold together.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PROBLEMS } from '../../bench/problems.ts';
import { type HostKind, Recorder } from '../../engine/timings.ts';
import type { Step } from '../../engine/plan.ts';
import { catalogue } from '../../kernels/index.ts';
import { type AdapterTraits, type AnyKernel, movedBytes, type Settings, type Shape } from '../../kernels/kernel.ts';
import { random } from '../../kernels/random/random.ts';
import { changes, figuresOf, isFaster, isSlower } from '../../mae/cli/benchcompare.ts';
import { timingTable } from '../../mae/cli/timings.ts';
import { traceText } from '../../mae/cli/trace-events.ts';
import { UsageError } from '../../mae/usage.ts';
import { cli } from '../support/spawn-cli.ts';

const NANO = {
  batch: 64,
  chans: 3,
  height: 32,
  width: 32,
  patch_size: 4,
  patches: 64,
  keep: 16,
  dim: 96,
  heads: 3,
  decoder_dim: 64,
  parameters: 560_000,
};
const seed = Math.floor(2 ** 31 * Math.random());

test('bytes that a kernel must move: what is updated in place twice, and no rows that it leaves alone', () => {
  const bytes = (name: string, problem: Settings): number =>
    movedBytes(catalogue.find((kernel) => kernel.name === name) as AnyKernel, problem);
  const n = 6400;
  // p, m and v read and written, g read; one group for 64 elements, two rows of the table, hyper.
  assert.is(bytes('adamw.update', { n, groupCount: 2 }), 7 * 4 * n + (4 * n) / 64 + 2 * 8 + 8 * 4);
  const tokens = { batch: 2, patches: 16, keep: 4, dim: 8 };
  assert.is(bytes('gather.drestore', tokens), 4 * (2 * 5 * 8 + 2 * 16 + 2 * 5 * 8));
  const norm = { rows: 10, cols: 8, eps: 1e-6, ADD: true };
  assert.is(bytes('layernorm.forward', norm) - bytes('layernorm.forward', { ...norm, HALF: true }), 2 * 10 * 8);
  const columns = { rows: 9, cols: 8, groups: 1, stride: 32, offset: 0 };
  assert.is(bytes('reduce.columns', columns), 4 * (9 * 8 + 8));
  for (const kernel of catalogue) {
    for (const { problem } of PROBLEMS[kernel.name](NANO, { profile: 'simt' } as AdapterTraits)) {
      const shapes = kernel.shapes({ ...kernel.options, ...problem } as never) as Record<string, Shape | null>;
      const most = Object.values(shapes).reduce((sum, shape) => sum + 8 * (shape?.reduce((a, b) => a * b, 1) ?? 0), 0);
      const moved = movedBytes(kernel, problem);
      assert.ok(moved > 0 && moved <= most, `${kernel.name}: ${moved} of at most ${most}`);
    }
  }
});

test('every kernel of the catalogue has a row in bench kernels, whose sizes fit it', () => {
  const names = catalogue.map(({ name }) => name);
  assert.equal(Object.keys(PROBLEMS).sort(), [...names].sort(), 'bench/problems.ts has one entry for every kernel');
  const traits = { profile: 'simt' } as AdapterTraits;
  for (const sizes of [NANO, { ...NANO, batch: 3, chans: 1, height: 20, width: 12, patches: 15, keep: 4 }]) {
    for (const kernel of catalogue) {
      const made = PROBLEMS[kernel.name](sizes, traits);
      assert.ok(made.length > 0, kernel.name);
      for (const { problem, inputs = {} } of made) {
        const shapes = kernel.shapes({ ...kernel.options, ...problem } as never);
        for (const [name, shape] of Object.entries(shapes)) {
          const n = shape?.reduce((a, b) => a * b, 1);
          if (shape) assert.ok(Number.isInteger(n) && (n as number) > 0, `${kernel.name} ${name} ${shape}`);
          if (inputs[name]) assert.is(inputs[name].length, n, `${kernel.name}: given ${name}`);
        }
        assert.ok(kernel.flops({ ...kernel.options, ...problem } as never) >= 0);
      }
    }
  }
});

const result = (rows: readonly object[], adapter = 'card', tool = 'tesserae bench kernels') => ({
  tool,
  adapter,
  rows,
});

test('bench compare tells what became slower and faster from what its noise explains', () => {
  const rng = random(seed);
  const before = Array.from({ length: 40 }, (_, i) => {
    const [ms, spread] = [1 + 9 * rng.uniform(), 0.3 * rng.uniform()];
    return { name: `kernel ${i}`, ms, spread };
  });
  const factor = before.map(({ spread }, i) => {
    const noise = Math.max(0.05, spread);
    return i % 4 === 0 ? 1 + noise * 1.1 : i % 4 === 1 ? 1 / (1 + noise * 1.1) : 1 + noise * 0.9 * rng.uniform();
  });
  const after = before.map((row, i) => ({ ...row, ms: row.ms * factor[i] })).reverse();
  const [a, b] = [before, after].map((rows) => figuresOf('x', JSON.stringify(result(rows))));
  const found = changes(a, b, 0.05);
  const named = (list: typeof found) => list.map(({ name }) => Number(name.split(' ')[1])).sort((x, y) => x - y);
  const every = (rest: number) => before.map((_, i) => i).filter((i) => i % 4 === rest);
  assert.equal(named(found.filter(isSlower)), every(0), `seed ${seed}`);
  assert.equal(named(found.filter(isFaster)), every(1), `seed ${seed}`);
  assert.ok(found[0].change >= found[1].change);
});

test('bench compare reads the results of bench gpu and of bench peers, and refuses what is no result', () => {
  const adapter = { description: 'card' };
  const row = { what: 'gemm', shape: '1 x 2', mode: 'simt f32', ms: 2, best_ms: 1.9 };
  const gpu = {
    tool: 'tesserae bench gpu',
    conditions: { adapter },
    parts: [{ kind: 'kernels', rows: [row, { what: 'x', error: '' }] }],
  };
  const figures = figuresOf('x', JSON.stringify(gpu));
  assert.equal([figures.adapter, [...figures.rows.keys()]], ['card', ['kernels gemm 1 x 2 simt f32']]);
  const piece = {
    name: 'gemm',
    rows: [
      { peer: 'ours', ms: 3, samples: [3, 4] },
      { peer: 'other', why: 'cannot' },
    ],
  };
  const peers = figuresOf('x', JSON.stringify({ kind: 'peers', adapter: 'card', pieces: [piece] }));
  assert.equal(
    [...peers.rows],
    [['gemm, ours', { ms: 3, spread: 1 / 3 }]].map(([n, r]) => [n, { ...(r as object), spread: 4 / 3 - 1 }]),
  );
  for (const text of [
    '',
    'nonsense',
    'null',
    '[]',
    '{}',
    '{"tool":"tesserae bench kernels"}',
    '{"tool":"x","rows":[]}',
    '{"tool":"tesserae bench step","rows":[null,3,{"ms":"1"}]}',
  ])
    assert.throws(
      () => figuresOf('x', text),
      (error: unknown) => error instanceof UsageError,
      text,
    );
});

test('bench compare: exit codes, one line where adapters differ', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tesserae-bench-'));
  const write = (name: string, report: object): string => {
    writeFileSync(join(folder, name), JSON.stringify(report));
    return join(folder, name);
  };
  try {
    const [row] = [{ name: 'gemm', ms: 10, spread: 0.01 }];
    const a = write('a.json', result([row]));
    const slow = write('slow.json', result([{ ...row, ms: 13 }]));
    const other = write('other.json', result([row], 'another card'));
    const run = (...args: string[]) => cli(['bench', 'compare', ...args]);
    const [told, failed, fine, refused, anyway] = await Promise.all([
      run(a, slow),
      run(a, slow, '--fail_over', '25'),
      run(a, slow, '--fail-over=35'),
      run(a, other),
      run(a, other, '--anyway'),
    ]);
    assert.equal([told.code, failed.code, fine.code, refused.code, anyway.code], [0, 1, 0, 2, 0]);
    assert.match(told.out, /\+30\.0 %.*gemm\n1 slower, 0 faster, 0 within/);
    assert.match(
      refused.err,
      /^tesserae: bench compare: .*a\.json was taken on card, .* on another card; --anyway[^\n]*\n$/,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

const KINDS: readonly HostKind[] = ['encode', 'submit', 'wait', 'compile', 'decode', 'save'];
const step = (name: string): Step =>
  ({
    call: { kernel: { name, flops: () => 1000 }, problem: {}, bindings: { x: { bytes: 500 }, y: null } },
  }) as unknown as Step;

/** Spans that overlap as they will. */
function recorded(most?: number): Recorder {
  const rng = random(seed, 1);
  const recorder = new Recorder(true, most);
  recorder.adapter = 'a "card"';
  for (let i = 0; i < 300; i++) {
    const began = 1000 * rng.uniform();
    recorder.addHost({
      kind: KINDS[rng.below(KINDS.length)],
      what: `it\n${i}`,
      began,
      ended: began + 30 * rng.uniform(),
    });
    recorder.addPass(step(`room.kernel${i % 7}`), i, i + 0.5);
  }
  recorder.align(0, 100);
  return recorder;
}

test('a trace is JSON in which no track holds two spans at a time, and nothing is lost', () => {
  const recorder = recorded();
  const { traceEvents } = JSON.parse(traceText(recorder));
  const spans = traceEvents.filter((event: { ph: string }) => event.ph === 'X');
  assert.is(spans.length, 600);
  const tracks = new Map<string, { ts: number; dur: number }[]>();
  for (const span of spans) {
    const key = `${span.pid} ${span.tid}`;
    tracks.set(key, [...(tracks.get(key) ?? []), span]);
  }
  const names = traceEvents.filter((event: { name: string }) => event.name === 'thread_name');
  assert.is(names.length, tracks.size);
  for (const [key, list] of tracks) {
    list.sort((a, b) => a.ts - b.ts);
    for (const [i, { ts }] of list.entries())
      if (i) assert.ok(ts >= list[i - 1].ts + list[i - 1].dur - 1e-6, `track ${key}, seed ${seed}`);
  }
  // The GPU's clock is moved onto the host's.
  assert.is(Math.min(...spans.filter((s: { pid: number }) => s.pid === 2).map((s: { ts: number }) => s.ts)), 100_000);
});

test('a trace has an end: what comes later is counted and not kept', () => {
  const recorder = recorded(100);
  assert.is(recorder.hosts.length + recorder.passes.length, 100);
  const { traceEvents, otherData } = JSON.parse(traceText(recorder));
  assert.equal([traceEvents.filter((e: { ph: string }) => e.ph === 'X').length, otherData.left_out], [100, 500]);
  assert.is(
    [...recorder.kernels.values()].reduce((sum, { calls }) => sum + calls, 0),
    300,
    'sums go on',
  );
});

test('the table of timings sums every kernel within 100 columns', () => {
  const recorder = recorded();
  recorder.byWaiting = true;
  // Where CI or FORCE_COLOR is set, its heads carry colour codes: what is seen is what counts.
  const lines = timingTable(recorder, 5000).map(stripVTControlCharacters);
  for (const line of lines) assert.ok(line.length <= 100, line);
  const all = lines.find((line) => line.startsWith('all kernels')) as string;
  assert.match(all, /^all kernels +300 +150\.00 +0\.500 +100\.0 %/);
  const calls = lines.filter((line) => line.startsWith('room.kernel')).map((line) => Number(line.split(/ +/)[1]));
  assert.equal([calls.length, calls.reduce((a, b) => a + b, 0)], [7, 300]);
  assert.equal(timingTable(new Recorder(false), 1), ['--timings: no kernel ran in this process']);
});

test.run();
