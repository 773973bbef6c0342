// Files written in pieces: whole under their name or not there, whatever the order of the pieces and whatever fails.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AtomicFile } from '../../engine/node/atomic-file.ts';
import { FileError } from '../../engine/node/files.ts';
import { rawTensor } from '../../engine/rawtensor.ts';
import { parseSafetensors } from '../../engine/safetensors.ts';
import { layoutSafetensors } from '../../engine/safetensors-layout.ts';
import { random } from '../../kernels/random/random.ts';
import { Scratch } from '../support/scratch.ts';
import { refusal } from '../support/thrown.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const rng = random(seed, 1);
const scratch = new Scratch();
test.before.each(scratch.make);
test.after.each(scratch.remove);
const text = (bytes: string): Uint8Array => new TextEncoder().encode(bytes);

test('pieces in any order are the file, which has its name from the commit on', async () => {
  const path = join(scratch.root, 'file');
  const bytes = Uint8Array.from({ length: 5000 }, () => rng.below(256));
  await using file = await AtomicFile.create(path);
  const pieces = Array.from({ length: 50 }, (_, i) => ({ i, key: rng.uniform() })).sort((a, b) => a.key - b.key);
  for (const { i } of pieces) await file.writeAt(100 * i, bytes.subarray(100 * i, 100 * (i + 1)));
  assert.is(file.length, 5000);
  await file.write(text('end'));
  assert.not(readdirSync(scratch.root).includes('file'));
  await file.commit();
  assert.ok(readFileSync(path).equals(Buffer.concat([bytes, text('end')])), `SEED=${seed}`);
  assert.equal(readdirSync(scratch.root), ['file']);
});

test('without a commit the old file stays, and nothing else', async () => {
  const path = scratch.put('file', 'old');
  {
    await using file = await AtomicFile.create(path);
    await file.write(text('new'));
  }
  assert.equal(readdirSync(scratch.root), ['file']);
  assert.is(readFileSync(path, 'utf8'), 'old');
});

test('what the file system refuses is told in one line, and taken back', async () => {
  assert.match(
    await refusal(() => AtomicFile.create(join(scratch.root, 'none', 'file'))),
    /^save: .*none\/file: .*check the path; nothing was changed/,
  );
  const folder = join(scratch.root, 'folder');
  mkdirSync(folder);
  writeFileSync(join(folder, 'kept'), 'kept');
  {
    await using file = await AtomicFile.create(folder);
    await file.write(text('new'));
    const error = await file.commit().catch((thrown: unknown) => thrown);
    assert.instance(error, FileError);
  }
  assert.equal(readdirSync(scratch.root), ['folder']);
  assert.equal(readdirSync(folder), ['kept']);
});

test('a layout of safetensors says where every tensor goes', () => {
  const plans = [
    { name: 'bytes', dtype: 'U8' as const, shape: [3] },
    { name: 'floats', dtype: 'F32' as const, shape: [2, 2] },
    { name: 'long', dtype: 'I64' as const, shape: [1] },
  ];
  const { head, offsets, size } = layoutSafetensors(plans, { made: 'here' });
  const whole = new Uint8Array(size);
  whole.set(head);
  const put = (name: string, data: Uint8Array): void => whole.set(data, offsets.get(name));
  const floats = Float32Array.of(1, 2, 3, 4);
  put('floats', rawTensor('F32', [4], floats).data);
  put('bytes', Uint8Array.of(7, 8, 9));
  put('long', rawTensor('I64', [1], BigInt64Array.of(-5n)).data);
  const { tensors, metadata } = parseSafetensors(whole);
  assert.equal([...metadata], [['made', 'here']]);
  assert.equal([...tensors.keys()], ['long', 'floats', 'bytes'], 'the largest elements first: all are aligned');
  assert.equal(tensors.get('floats'), rawTensor('F32', [2, 2], floats));
  assert.equal([...tensors.get('bytes')!.data], [7, 8, 9]);
  assert.throws(() => layoutSafetensors([plans[0], plans[0]]), /tensor name bytes is taken/);
  assert.throws(() => layoutSafetensors([{ ...plans[0], shape: [-1] }]), /is no shape below/);
});
test.run();
