// Resumable logs: a run that goes on writes the same bytes as one that never stopped.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { appendLine, cutLog, durableLength } from '../../engine/node/logs.ts';

let folder = '';
const test = suite('logs');
test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), 'tesserae-logs-'));
});
test.after.each(() => rmSync(folder, { recursive: true, force: true }));

test('a log cut back at resume and continued is byte for byte that of a run that never stopped', async () => {
  const path = join(folder, 'log.txt');
  const line = (epoch: number) => JSON.stringify({ epoch, train_loss: 1 / (epoch + 3) });
  assert.is(await durableLength(path), 0);
  await cutLog(path, 0);
  for (let epoch = 0; epoch < 3; epoch++) await appendLine(path, line(epoch), { durable: epoch === 1 });
  const saved = await durableLength(path);
  assert.is(saved, readFileSync(path).length);
  await appendLine(path, line(3));
  writeFileSync(path, '{"epoch": 4, "tr', { flag: 'a' }); // killed while writing
  await cutLog(path, saved);
  for (let epoch = 3; epoch < 6; epoch++) await appendLine(path, line(epoch));
  assert.is(readFileSync(path, 'utf8'), Array.from({ length: 6 }, (_, epoch) => `${line(epoch)}\n`).join(''));
  await cutLog(path, 0);
  assert.is(readFileSync(path).length, 0);
});

test('a log that does not belong to the checkpoint is left alone', async () => {
  const path = join(folder, 'log.txt');
  const message = (length: number) => cutLog(path, length).then(String, (error: Error) => error.message);
  assert.match(await message(7), /^resume: .*log\.txt: there is no log, but the checkpoint was saved with 7 bytes/);
  writeFileSync(path, 'abc\ndef\n');
  assert.match(await message(9), /the log has 8 bytes, but the checkpoint was saved with 9/);
  assert.match(await message(6), /byte 6 of the log ends no line/);
  assert.is(readFileSync(path, 'utf8'), 'abc\ndef\n');
  assert.match(await cutLog(folder, 4).then(String, (error: Error) => error.message), /^resume: .*is a folder/);
});

test.run();
