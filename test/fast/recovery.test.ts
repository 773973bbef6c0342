// What a run does about a lost device, without one: when it copies its state, how often it tries, what it tells, and logs that go back.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Engine } from '../../engine/engine.ts';
import { DeviceLostError } from '../../engine/errors.ts';
import { CutShort, endingSoon, EndsSoon } from '../../mae/train/cutshort.ts';
import { Journal } from '../../mae/train/journal.ts';
import { allFinite, ruinedIn } from '../../mae/train/diagnose.ts';
import { type Attempt, unbroken } from '../../mae/train/recovery.ts';
import type { Kept } from '../../mae/train/setup.ts';
import { Snapshots } from '../../mae/train/snapshot.ts';

test('copies are due after ten seconds, and take a hundredth of the time at most', async () => {
  let now = 0;
  const snapshots = new Snapshots(() => now);
  const copy = (ms: number) => snapshots.take(async () => void (now += ms));
  const wait = (): number => {
    const from = now;
    while (!snapshots.due) now += 1000;
    return now - from;
  };
  assert.is(wait(), 10_000);
  await copy(3);
  assert.is(wait(), 10_000, 'a quick copy is not made more often');
  await copy(700);
  assert.is(wait(), 70_000, 'a slow one less often');
});

/** Attempts of which the i-th is lost after `reach[i]` steps (null: it ends), having kept `kept[i]`; and what became of them. */
async function attempts(reach: readonly (number | null)[], kept: readonly number[]) {
  const [notes, began] = [[] as string[], [] as (number | null)[]];
  let [i, rescued, renewed] = [0, 0, 0];
  const make = async (_from: null, before: Kept<null> | null): Promise<Attempt<null, string>> => {
    const at = i++;
    began.push(before?.position ?? null);
    return {
      openFolder: async () => {},
      kept: kept[at] === undefined ? null : ({ position: kept[at], checkpoint: null } as Kept<null>),
      position: reach[at] ?? 99,
      advanced: () => null,
      refusal: ({ message }) => message,
      rescue: async () => void rescued++,
      salvage: async () => null,
      train: async () => {
        if (reach[at] !== null) throw new DeviceLostError('GPU device was lost: gone');
        return 'done';
      },
    };
  };
  const engine = { renew: async () => void renewed++ } as unknown as Engine;
  const report = { note: (line: string) => void notes.push(line) };
  const end = await unbroken({ engine, report, command: 'pretrain', from: null, make }).catch((e: Error) => e);
  return { end, notes, began, rescued, renewed };
}

test('a lost run goes on from what was kept, as often as it gets further', async () => {
  const got = await attempts([7, 12, 13, 20, null], [5, 10, 10, 15, 20]);
  assert.is(got.end, 'done');
  assert.equal(got.began, [null, 5, 10, 10, 15]);
  assert.is(got.renewed, 4);
  assert.is(got.rescued, 0);
  assert.match(got.notes[0], /^GPU device was lost: gone; opened again in \d+\.\d s, going on from step 5$/);
});

test('one that is lost three times at one place is saved and ends', async () => {
  const got = await attempts([7, 7, 6, null], [5, 5, 5, 5]);
  assert.instance(got.end, DeviceLostError);
  assert.match(
    (got.end as Error).message,
    /^pretrain: GPU device was lost: gone \(3 times.*past step 7\); with --resume auto/,
  );
  assert.is(got.renewed, 2);
  assert.is(got.rescued, 1);
});

test('infinities and NaN of every kind are found by their bits, in f16 too; large and subnormal numbers are none', () => {
  const words = (...bits: number[]) => Uint32Array.from(bits).buffer;
  for (const bits of [0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffffffff])
    assert.not.ok(allFinite(words(0, bits), 'f32'), bits.toString(16));
  assert.ok(allFinite(words(0x7f7fffff, 0xff7fffff, 1, 0x80000000), 'f32'));
  for (const bits of [0x7c00, 0xfc00, 0x7e00, 0x7c01])
    assert.not.ok(allFinite(Uint16Array.of(0x7bff, bits).buffer, 'f16'), bits.toString(16));
  assert.ok(allFinite(Uint16Array.of(0x7bff, 0xfbff, 1, 0x8000).buffer, 'f16'));
  assert.ok(allFinite(words(0x7f800000), 'u32'), 'an integer is what it is');
  const optimizer = {
    name: 'adamw',
    slots: { m: new Map([['a', Float32Array.of(1, Number.NaN)]]) },
    step: 1,
    lossScale: null,
  };
  const weights = new Map([['w', Float32Array.of(Number.NEGATIVE_INFINITY)]]);
  assert.is(ruinedIn({ optimizer, weights }), 'adamw.m.a');
  assert.is(ruinedIn({ optimizer: null, weights }), 'w');
  assert.is(ruinedIn({ optimizer: null, weights: new Map([['w', Float32Array.of(3e38)]]) }), null);
});

test('a step that never ends is left, and what was kept is saved: only where the process ends soon', async () => {
  const never = new Promise<string>(() => {});
  const answers = [null, null, 7];
  const asked = (): Promise<number | null> => Promise.resolve(answers.shift() ?? null);
  const [stop, polite] = [new AbortController(), new AbortController()];
  const cut = endingSoon(never, stop.signal, asked).catch((e: Error) => e);
  stop.abort(new EndsSoon(1));
  assert.instance(await cut, CutShort);
  assert.match(String(await cut), /saved as it was after step 7$/);
  assert.equal(answers, [], 'asked again while the run was writing');
  const unasked = (): never => assert.unreachable('nothing has to be saved') as never;
  const slow = endingSoon(new Promise((end) => setTimeout(end, 30, 'ended')), polite.signal, unasked);
  polite.abort();
  assert.is(await slow, 'ended');
  const full = endingSoon(never, AbortSignal.abort(new EndsSoon(1)), () => Promise.reject(new Error('disk full')));
  assert.is(await full.catch((e: Error) => e.message), 'disk full');
});

test('a journal that is closed in the middle of a run holds what it held at the mark', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tesserae-closed-'));
  try {
    const journal = new Journal({ output_dir: folder, keep: 0 }, 'pretrain', () => {});
    await journal.open({});
    await journal.metric({ step: 1 });
    const mark = await journal.mark();
    const slow = journal.metric({ step: 2 });
    assert.ok(journal.writing);
    await slow;
    assert.not.ok(journal.writing);
    const saved: unknown[] = [];
    await journal.saveLast(
      'checkpoint.safetensors',
      async (_, { logs }) => void saved.push(logs['metrics.jsonl']),
      mark,
    );
    assert.equal(saved, ['{"step":1}\n'.length]);
    let written = false;
    const late = [journal.metric({ step: 3 }), journal.save('x', async () => void (written = true))];
    for (const write of late) write.then(() => assert.unreachable('it was closed'));
    await new Promise((turn) => setTimeout(turn, 30));
    assert.not.ok(written);
    assert.is(readFileSync(join(folder, 'metrics.jsonl'), 'utf8'), '{"step":1}\n');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('logs go back to a mark', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tesserae-mark-'));
  try {
    const journal = new Journal({ output_dir: folder, keep: 0 }, 'pretrain', () => {});
    await journal.open({});
    const empty = await journal.mark();
    await journal.metric({ step: 1 });
    const one = await journal.mark();
    await journal.metric({ step: 2 });
    await journal.epoch({ epoch: 0 });
    await journal.rewind(one);
    const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
    assert.is(read('metrics.jsonl'), '{"step":1}\n');
    assert.is(read('log.txt'), '');
    await journal.metric({ step: 3 });
    assert.is(read('metrics.jsonl'), '{"step":1}\n{"step":3}\n');
    await journal.rewind(empty);
    assert.is(read('metrics.jsonl'), '');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
