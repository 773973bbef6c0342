// Atomic writes: whatever fails, and whenever the process dies, a file is whole, old or new.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import * as node from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Disk, FileError, makeFolder, removeStrayTemporaries, writeFileAtomic } from '../../engine/node/files.ts';
import { openSafetensorsFile } from '../../engine/node/opened.ts';
import { rawTensor, viewAs } from '../../engine/rawtensor.ts';
import { parseSafetensors, readHeader, readTensor } from '../../engine/safetensors.ts';
import { writeSafetensors } from '../../engine/safetensors-write.ts';
import { brokenDisk } from '../support/broken-disk.ts';

/** A checkpoint of 2 MB whose every element is its version: a mixture of two would show. */
const checkpoint = (version: number) =>
  writeSafetensors([['w', rawTensor('F32', [500_000], new Float32Array(500_000).fill(version))]], {
    version: `${version}`,
  });

/** The version of the file at `path`; throws where it is not whole. */
function versionOf(path: string): number {
  const { tensors, metadata } = parseSafetensors(new Uint8Array(readFileSync(path)), { requireChecksums: true });
  const version = Number(metadata.get('version'));
  assert.ok(viewAs(tensors.get('w')!, 'F32').every((value) => value === version));
  return version;
}

/** This file again, in a process that can be killed. Under a software GPU's loader `execPath` is that loader. */
const childArguments = (...args: string[]) => [...process.execArgv, fileURLToPath(import.meta.url), ...args];
const nodePath = basename(process.execPath).startsWith('node') ? process.execPath : 'node';

async function saveForever(path: string): Promise<void> {
  await removeStrayTemporaries(join(path, '..'));
  for (let version = existsSync(path) ? versionOf(path) + 1 : 1; ; version++)
    await writeFileAtomic(path, checkpoint(version));
}

/** Saves a file, then one too big for the disk; prints the error. */
async function fillDisk(folder: string): Promise<void> {
  const path = join(folder, 'a.bin');
  await writeFileAtomic(path, 'old');
  const error = await writeFileAtomic(path, new Uint8Array(3_000_000)).catch((error: unknown) => error as FileError);
  console.log(JSON.stringify([(error as FileError).message, readFileSync(path, 'utf8'), readdirSync(folder)]));
}

let folder = '';
const test = suite('files');
test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), 'tesserae-files-'));
});
test.after.each(() => rmSync(folder, { recursive: true, force: true }));

test('writes text, bytes and chunks, replaces, and leaves nothing else behind', async () => {
  const path = join(folder, 'a.bin');
  await writeFileAtomic(path, 'text é');
  assert.is(readFileSync(path, 'utf8'), 'text é');
  await writeFileAtomic(path, [Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3)]);
  assert.equal([...readFileSync(path)], [1, 2, 3]);
  await writeFileAtomic(path, new Uint8Array(0));
  assert.is(readFileSync(path).length, 0);
  assert.equal(readdirSync(folder), ['a.bin']);
});

test('kill -9 at any instant: the file is a whole version, and strays go at the next start', async () => {
  const path = join(folder, 'checkpoint.safetensors');
  const strays = () => readdirSync(folder).filter((name) => name !== 'checkpoint.safetensors');
  let midSave = 0;
  let before = 0;
  for (let kill = 0; kill < 4 || midSave < 2; kill++) {
    assert.ok(kill < 40, `only ${midSave} of ${kill} kills came during a save: the test shows nothing`);
    const child = spawn(nodePath, childArguments('save-forever', path), { stdio: ['ignore', 'ignore', 'inherit'] });
    const exit = once(child, 'exit');
    await moved(path, before, child);
    if (kill % 2 === 0) await pause(Math.random() * 60);
    else for (const start = Date.now(); strays().length === 0 && Date.now() < start + 1000; ); // until a save is under way
    child.kill('SIGKILL');
    await exit;
    const version = versionOf(path);
    assert.ok(version > before, `version ${version} after ${before}`);
    before = version;
    assert.ok(strays().length <= 1, 'this child removed what the ones before it left');
    midSave += strays().length;
    // Sometimes it is the next child that has to clean up, as a trainer does when it starts.
    if (kill % 4 < 2) continue;
    const left = strays();
    assert.equal(await removeStrayTemporaries(folder), left);
    assert.equal(strays(), []);
  }
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves once the child has saved a version after `before`. */
async function moved(path: string, before: number, child: ChildProcess): Promise<void> {
  while (!existsSync(path) || versionOf(path) === before) {
    if (child.exitCode !== null) throw new Error(`the child ended by itself, exit code ${child.exitCode}`);
    await pause(5);
  }
}

test('flushes before it renames and the folder after, so that a power cut finds the old file or the new', async () => {
  const { disk, calls } = brokenDisk(-1, '', 3);
  await writeFileAtomic(join(folder, 'a'), [Buffer.from('seven..'), Buffer.from('x')], disk);
  assert.is(readFileSync(join(folder, 'a'), 'utf8'), 'seven..x', 'short writes are continued');
  assert.match(calls.shift()!, /^open .*\.a\..*\.tmp$/);
  const order = [
    'write',
    'write',
    'write',
    'write',
    'sync',
    'close',
    'rename',
    'open folder',
    'sync folder',
    'close folder',
  ];
  assert.equal(calls, order);
});

const texts = {
  ENOSPC: 'No space left on device',
  EDQUOT: 'Disk quota exceeded',
  EIO: 'I/O error',
  EACCES: 'Permission denied',
  EROFS: 'Read-only file system',
  EMFILE: 'Too many open files',
};
for (const [code, text] of Object.entries(texts)) {
  test(`${code} at every call of a save: one message, the old file or the new, nothing else`, async () => {
    const path = join(folder, 'a.bin');
    const data = new Uint8Array(200_000).fill(7);
    const count = brokenDisk();
    await writeFileAtomic(join(folder, 'b'), data, count.disk);
    rmSync(join(folder, 'b'));
    const rename = count.calls.indexOf('rename');
    for (let call = 0; call < count.calls.length; call++) {
      writeFileSync(path, 'old');
      const error = await writeFileAtomic(path, data, brokenDisk(call, code).disk).then(
        () => assert.unreachable(`call ${call} failed unseen`),
        (error: unknown) => error as FileError,
      );
      assert.instance(error, FileError);
      assert.is((error as FileError).code, code);
      const { message } = error as FileError;
      assert.ok(message.startsWith(`save: ${path}: ${text}`), message);
      if (code === 'ENOSPC' || code === 'EDQUOT') assert.match(message, /\(needs 0\.2 MB, [\d.]+ MB free\): free some/);
      assert.match(message, call <= rename ? /nothing was changed$/ : /a power cut may undo it$/);
      const now = readFileSync(path);
      assert.ok(
        call <= rename ? now.toString() === 'old' : now.equals(data),
        `after call ${call}, ${count.calls[call]}`,
      );
      assert.equal(readdirSync(folder), ['a.bin']);
    }
  });
}

const canMount = spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'tmpfs', tmpdir()]).status === 0;
if (!canMount) console.log('files: this user may mount no small disk; ENOSPC is tested by injection only');
else
  test('a real full disk', () => {
    const run = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"';
    const child = spawnSync('unshare', [
      '-rm',
      'sh',
      '-c',
      run,
      folder,
      nodePath,
      ...childArguments('fill-disk', folder),
    ]);
    const [message, old, names] = JSON.parse(child.stdout.toString() || `["${child.stderr}"]`);
    assert.match(
      message,
      /^save: .*a\.bin: No space left on device \(needs 3 MB, 1(\.\d)? MB free\): .*; nothing was changed$/,
    );
    assert.equal([old, names], ['old', ['a.bin']]);
  });

test('real mistakes of the user: a missing folder, a folder in the way', async () => {
  const message = (path: string) => writeFileAtomic(path, 'x').then(String, (error: Error) => error.message);
  assert.match(
    await message(join(folder, 'no', 'a')),
    /^save: .*: No such file or directory: check the path; nothing was changed$/,
  );
  mkdirSync(join(folder, 'taken'));
  assert.match(await message(join(folder, 'taken')), /^save: .*taken: .*directory/);
  assert.equal(readdirSync(folder), ['taken']);
});

test('a folder is made with those above it, and what forbids that is told in one line, at once', async () => {
  const made = join(folder, 'ein Ordner', 'ünï 目录');
  await makeFolder(made, 'pretrain: --output_dir');
  await makeFolder(made, 'pretrain: --output_dir');
  assert.equal(readdirSync(made), [], 'nothing is left of the trial');
  type Disk = Parameters<typeof makeFolder>[2];
  const said = (work: Promise<void>) =>
    work.then(String, (error: Error) => {
      assert.instance(error, FileError);
      assert.not.match(error.message, '\n');
      return error.message;
    });
  const message = async (path: string, disk?: Disk) => {
    const known = await said(makeFolder(path, 'pretrain: --output_dir', disk, { make: false }));
    const found = await said(makeFolder(path, 'pretrain: --output_dir', disk));
    if (!disk && known !== 'undefined') assert.is(known, found, 'the same without making it');
    return found;
  };
  await makeFolder(join(folder, 'not', 'yet'), 'x', undefined, { make: false });
  assert.not.ok(existsSync(join(folder, 'not')));
  writeFileSync(join(folder, 'file'), '');
  for (const path of ['file', 'file/below', 'file/below/it'])
    assert.match(
      await message(join(folder, path)),
      /^pretrain: --output_dir: .*file.*: Not a directory: a file stands/,
    );
  if (existsSync('/proc/self')) {
    assert.match(
      await message('/proc/no/such'),
      /^pretrain: --output_dir: \/proc\/no\/such: No such file or directory/,
    );
    assert.match(await message('/proc'), /^pretrain: --output_dir: \/proc: /);
  }
  assert.match(await message(join(folder, 'x'.repeat(300))), /Name too long|ENAMETOOLONG/i);
  for (const code of ['EACCES', 'EROFS', 'ENOSPC'])
    for (const [path, call] of [
      [join(folder, 'new', 'one'), 'mkdir'],
      [folder, 'open'],
    ] as const) {
      const refuse = () => Promise.reject(Object.assign(new Error('made up'), { code }));
      assert.ok((await message(path, { ...node, [call]: refuse })).includes(texts[code as keyof typeof texts]));
    }
});

test('removes temporaries of dead processes only', async () => {
  let own = '';
  const disk: Disk = { ...node, open: (path, flags) => node.open((own ||= basename(path)) && path, flags) };
  await writeFileAtomic(join(folder, 'a.bin'), 'x', disk);
  assert.ok(own.includes(`-${process.pid}-`));
  const dead = spawnSync(nodePath, ['-e', '']).pid;
  const of = (pid: number, host = '') =>
    own.replace(`-${process.pid}-`, `-${pid}-`).replace(/\.[0-9a-f]{8}-/, host ? `.${host}-` : '$&');
  const put = (name: string, ageSeconds = 0) => {
    writeFileSync(join(folder, name), 'half');
    const when = Date.now() / 1000 - ageSeconds;
    utimesSync(join(folder, name), when, when);
    return name;
  };
  const kept = [put(own), put(of(process.ppid)), put(of(dead, '01234567')), put('.a.bin.tmp', 9999), 'a.bin'];
  assert.not.equal(of(dead, '01234567'), of(dead));
  const gone = [
    put(of(dead)),
    put(own.replace('.a.bin', '.b.bin'), 1800),
    put(of(process.ppid).replace('.a', '.c'), 3700),
  ];
  assert.equal((await removeStrayTemporaries(folder)).sort(), gone.sort());
  assert.equal(readdirSync(folder).sort(), kept.sort());
  assert.equal(await removeStrayTemporaries(join(folder, 'missing')), []);
});

test('a lazy reader reads tensors one by one, and keeps its file while a save replaces it', async () => {
  const path = join(folder, 'a.safetensors');
  await writeFileAtomic(path, checkpoint(1));
  const source = await openSafetensorsFile(path);
  const header = await readHeader(source, { requireChecksums: true });
  await writeFileAtomic(path, checkpoint(2));
  assert.is(viewAs(await readTensor(source, header.tensors.get('w')!), 'F32')[499_999], 1);
  await source.close();
  assert.is(versionOf(path), 2);
  const message = (name: string) => openSafetensorsFile(name).then(String, (error: Error) => error.message);
  assert.match(await message(join(folder, 'b')), /^read: .*b: No such file or directory/);
  assert.match(await message(folder), /^read: .*: is a folder or a device/);
  symlinkSync('/dev/zero', join(folder, 'zero'));
  assert.match(await message(join(folder, 'zero')), /is a folder or a device/);
});

const [, , role, where] = process.argv;
if (role === 'save-forever') await saveForever(where);
else if (role === 'fill-disk') await fillDisk(where);
else test.run();
