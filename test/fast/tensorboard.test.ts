// Event files as TensorBoard reads them: records with right checksums, events with the numbers that were given, and a mark where a run went back.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Journal } from '../../mae/train/journal.ts';
import { EventFile } from '../../mae/train/tensorboard.ts';

const folder = mkdtempSync(join(tmpdir(), 'tesserae-tensorboard-'));
test.after(() => rmSync(folder, { recursive: true }));

/** CRC-32C bit by bit, by its definition. */
function crc32c(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}
const masked = (bytes: Uint8Array): number => {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
};

interface Read {
  wallTime?: number;
  step: number;
  version?: string;
  started?: number;
  scalars: Record<string, number>;
}

/** Every record of a file, its checksums held against the definition. */
function events(path: string): Read[] {
  const bytes = readFileSync(path);
  const found: Read[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    assert.is(bytes.readUInt32LE(at + 8), masked(bytes.subarray(at, at + 8)));
    const data = bytes.subarray(at + 12, at + 12 + length);
    assert.is(bytes.readUInt32LE(at + 12 + length), masked(data));
    found.push(event(data));
    at += 16 + length;
  }
  return found;
}

function event(data: Uint8Array): Read {
  const read: Read = { step: 0, scalars: {} };
  const reader = new BinaryReader(data);
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field === 1) read.wallTime = reader.double();
    else if (field === 2) read.step = Number(reader.int64());
    else if (field === 3) read.version = reader.string();
    else if (field === 5) Object.assign(read.scalars, summary(reader.bytes()));
    else if (field === 7) {
      const log = new BinaryReader(reader.bytes());
      assert.is(log.tag()[0], 1);
      read.started = log.int32();
    } else reader.skip(wire);
  }
  return read;
}

function summary(data: Uint8Array): Record<string, number> {
  const scalars: Record<string, number> = {};
  const reader = new BinaryReader(data);
  while (reader.pos < reader.len) {
    assert.is(reader.tag()[0], 1);
    const value = new BinaryReader(reader.bytes());
    assert.is(value.tag()[0], 1);
    const tag = value.string();
    assert.is(value.tag()[0], 2);
    scalars[tag] = value.float();
  }
  return scalars;
}

test('CRC-32C of the test above is that of the standard', () => {
  assert.is(crc32c(Buffer.from('123456789')), 0xe3069283);
});

test('the file begins with its version, then where the run stands, then scalars by step', async () => {
  const at = join(folder, 'tb é', 'deep');
  const file = await EventFile.open(at, 7, () => 1234.5);
  file.scalars(8, { train_loss: 0.5, lr: 1e-3 });
  file.scalars(3_000_000_000, { 'perf/ü': Math.fround(-1 / 3) });
  await file.flush();
  await file.flush();
  const [name, ...others] = readdirSync(at);
  assert.is(others.length, 0);
  assert.match(name, /^events\.out\.tfevents\.1234\./);
  assert.equal(events(join(at, name)), [
    { wallTime: 1234.5, step: 0, version: 'brain.Event:2', scalars: {} },
    { wallTime: 1234.5, step: 7, started: 1, scalars: {} },
    { wallTime: 1234.5, step: 8, scalars: { train_loss: 0.5, lr: Math.fround(1e-3) } },
    { wallTime: 1234.5, step: 3_000_000_000, scalars: { 'perf/ü': Math.fround(-1 / 3) } },
  ]);
});

test('a journal gives its metrics there, and tells once that the disk refuses', async () => {
  const logs = join(folder, 'logs');
  const notes: string[] = [];
  const options = { output_dir: join(folder, 'run'), keep: 0, log_dir: logs };
  const journal = new Journal(options, 'pretrain', (line) => notes.push(line));
  await journal.open({}, 4);
  await journal.metric({ step: 5, epoch: 0, loss: 2, lr: 0.5 });
  await journal.metric({ step: 5, epoch: 0, heldout_loss: 3 });
  const [name] = readdirSync(logs);
  const scalars = () =>
    events(join(logs, name)).flatMap(({ step, scalars }) => (Object.keys(scalars).length ? [[step, scalars]] : []));
  const first = [
    [5, { train_loss: 2, lr: 0.5 }],
    [5, { heldout_loss: 3 }],
  ];
  assert.equal(scalars(), first);
  // The folder goes, and something else has its name: what is logged meanwhile waits, and is there when it can be.
  rmSync(logs, { recursive: true });
  writeFileSync(logs, '');
  await journal.metric({ step: 6, epoch: 0, loss: 1 });
  await journal.metric({ step: 7, epoch: 0, loss: 0.5 });
  assert.is(notes.length, 1, notes.join('\n'));
  assert.match(notes[0], /training goes on/);
  rmSync(logs);
  mkdirSync(logs);
  await journal.metric({ step: 8, epoch: 0, loss: 0.25 });
  assert.equal(
    scalars(),
    [6, 7, 8].map((step, i) => [step, { train_loss: 1 / 2 ** i }]),
  );
});

test.run();
