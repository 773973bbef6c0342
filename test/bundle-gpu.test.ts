// `bench gpu` as it goes to a machine with a GPU: one bundled file beside the webgpu package, in a folder outside the clone.
// What measures is only asked for sane numbers here; what checks must have checked.
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { PartResult, Report, Row } from '../bench/gpu/report.ts';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { writeFileAtomic } from '../engine/node/files.ts';
import { writeSafetensors } from '../engine/safetensors-write.ts';
import { catalogue } from '../kernels/index.ts';
import { makeCase } from './support/conformance-case.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'tesserae-bundle-'));
const node = process.env.TESSERAE_NODE || process.execPath;

interface Ended {
  code: number;
  out: string;
  err: string;
}

function run(program: string, args: readonly string[], cwd: string): Promise<Ended> {
  return new Promise((resolve) =>
    execFile(program, args, { cwd, maxBuffer: 2 ** 26 }, (error, out, err) =>
      resolve({ code: error ? Number(error.code ?? 1) : 0, out, err }),
    ),
  );
}

const bench = (args: readonly string[]): Promise<Ended> => run(node, ['tesserae-gpu.mjs', ...args], folder);
const read = (name: string): Report => JSON.parse(readFileSync(join(folder, name), 'utf8'));
const kind = (report: Report, name: string): PartResult[] => report.parts.filter((part) => part.kind === name);
const rows = (report: Report, name: string): Row[] => kind(report, name).flatMap((part) => part.rows);

test.before(async () => {
  const built = await run(node, [join(root, 'tools', 'bundle.mjs'), '--out', join(folder, 'tesserae-gpu.mjs')], folder);
  assert.is(built.code, 0, built.err);
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(join(root, 'node_modules', 'webgpu'), join(folder, 'node_modules', 'webgpu'));
});

test.after(() => rmSync(folder, { recursive: true }));

test('every part runs from the bundle alone, and what is checked is right', async () => {
  const golden = join(folder, 'golden');
  mkdirSync(golden);
  {
    using device = await openDawn();
    using engine = new Engine(device);
    const { tensors, metadata } = makeCase(engine, Date.now() % 2 ** 31);
    await writeFileAtomic(join(golden, 'fresh.safetensors'), writeSafetensors(tensors, metadata));
  }
  const { code, out, err } = await bench([
    '--quick',
    '--minutes',
    '20',
    '--golden',
    'golden',
    '--torch',
    'off',
    '--output',
    'all.json',
  ]);
  const report = read('all.json');
  assert.equal(
    report.parts.filter(({ status }) => status !== 'ok').map(({ name, error }) => `${name}: ${error}`),
    [],
  );
  assert.equal(
    report.parts.flatMap(({ name, rows }) =>
      rows.filter((r) => r.passed === false || typeof r.error === 'string').map((r) => [name, r]),
    ),
    [],
  );
  assert.is(code, 0, err);

  const [adapter] = rows(report, 'adapter');
  const profiles = kind(report, 'tests').map((part) => part.name.replace('tests ', ''));
  assert.equal(profiles.includes('matrix'), adapter.matrices !== '');
  assert.ok(profiles.includes('simt'));
  for (const profile of profiles) {
    const tested = rows(report, 'tests').filter((row) => row.profile === profile);
    const expected = catalogue.filter((k) => k.variants[profile as 'simt']).map((k) => k.name);
    assert.equal(tested.map((row) => row.kernel).sort(), expected.sort());
    assert.ok(tested.every((row) => row.passed === true && row.cases === 1));
    assert.ok(rows(report, 'conformance').some((row) => row.profile === profile && Number(row.groups) > 5));
  }

  const measured = rows(report, 'ceilings');
  assert.ok(['copy', 'fma f32'].every((what) => measured.some((row) => row.what === what && Number(row.rate) > 0.1)));
  const kernels = rows(report, 'kernels');
  for (const what of [
    'gemm forward',
    'gemm dX',
    'gemm dW',
    'attention forward',
    'attention backward',
    'AdamW',
    'loss',
  ]) {
    const found = kernels.filter((row) => row.what === what && String(row.mode).endsWith(' f32'));
    assert.is(found.length, 1, what);
    assert.ok(Number(found[0].ms) > 0 && Number(found[0].share) > 0, `${what}: ${JSON.stringify(found[0])}`);
  }
  assert.ok(kernels.some((row) => row.what === 'gemm forward' && String(row.mode).endsWith(' f16')));
  // What moves memory stands beside a copy of as many bytes, and products do not.
  for (const row of kernels) {
    const product = /^(gemm|attention)/.test(String(row.what));
    assert.ok(product ? row.copy_ms === undefined : Number(row.copy_ms) > 0, JSON.stringify(row));
  }
  for (const precision of ['f32', 'f16']) {
    const [step] = rows(report, 'step').filter((row) => String(row.mode).endsWith(precision));
    const { ms, images_per_s, host_ms, peak_bytes, batch, dispatches } = step as Record<string, number>;
    assert.ok(ms > 0 && host_ms > 0 && host_ms < 10 * ms && dispatches > 50 && peak_bytes > 1e6, JSON.stringify(step));
    assert.ok(Math.abs(images_per_s - (1000 * batch) / ms) < 1e-6 * images_per_s);
  }
  const calls = rows(report, 'profile').reduce((sum, row) => sum + Number(row.count), 0);
  const dispatched = Number(rows(report, 'step')[0].dispatches);
  assert.is(calls, dispatched, 'the profile has every call of the step');
  for (const head of ['| check |', '| ceiling |', '| step |', '| kernel |', '| mode |'])
    assert.ok(out.includes(head), head);
  assert.ok(out.includes('| of a copy of that size |') && out.includes(String(adapter.description)));
});

test('a part that hangs or crashes is told, what it had found is kept, and the rest goes on', async () => {
  const row = (n: number) => `echo '@@ {"row":{"what":"gemm","mode":"torch fp32","ms":${n}}}'`;
  const python = `#!/bin/sh
turn=$(printf %s "$2" | sed 's/.*"turn":"\\([^"]*\\)".*/\\1/')
echo '@@ {"torch":"9.9"}'
case "$*" in
  *'"what":"step"'*) ${row(1)}; sleep 100 ;;
  *'"what":"kernels"'*) ${row(2)}; echo "no such card" >&2; kill -SEGV $$ ;;
  *) while [ ! -s "$turn" ]; do sleep 0.01; done; ${row(3)} ;;
esac
`;
  writeFileSync(join(folder, 'python'), python);
  chmodSync(join(folder, 'python'), 0o755);
  const flags = [
    '--quick',
    '--only',
    'torch',
    '--torch',
    'cpu',
    '--python',
    './python',
    '--minutes',
    '0.15',
    '--out',
    'bad.json',
  ];
  const { code, out } = await bench(flags);
  assert.is(code, 1);
  const parts = kind(read('bad.json'), 'torch');
  assert.equal(
    parts.map(({ status }) => status),
    ['out of time', 'failed', 'ok'],
  );
  assert.equal(
    parts.map((part) => part.rows[0].ms),
    [1, 2, 3],
  );
  assert.match(parts[1].error as string, /^SIGSEGV: no such card$/);
  assert.is(read('bad.json').conditions.torch, '9.9');
  assert.match(out, /\| torch step \| out of time \|/);
});

test("PyTorch's figures of an earlier run stand beside ours, and one is taken again", async () => {
  const write = (name: string, report: object) => writeFileSync(join(folder, name), JSON.stringify(report));
  const { conditions } = read('bad.json');
  const step = (mode: string, ms: number) => ({ model: 'ViT-nano/4, 32 px', batch: 4, mode, ms });
  const rows = [step('torch bf16', 5), step('torch bf16 compiled', 4)];
  const earlier = {
    tool: 'tesserae bench gpu',
    began: '2026-01-02T03:04:05Z',
    conditions,
    parts: [{ kind: 'torch', rows }],
  };
  write('earlier.json', earlier);
  write('other.json', { ...earlier, conditions: { adapter: { description: 'another card' } } });
  const again = step('torch bf16', 6);
  writeFileSync(join(folder, 'python'), `#!/bin/sh\necho '@@ ${JSON.stringify({ row: again })}'\n`);
  const only = ['--quick', '--only', 'step,torch', '--precisions', 'f16', '--torch', 'cpu', '--python', './python'];
  const flags = (from: string) => [...only, '--minutes', '5', '--torch_from', from, '--out', 'merged.json'];
  const { code, out, err } = await bench(flags('earlier.json'));
  assert.is(code, 0, err);
  const [anchor, kept] = kind(read('merged.json'), 'torch');
  assert.equal([anchor.rows, kept.rows], [[again], [rows[1]]]);
  assert.match(
    out,
    /a run of 2026-01-02 03:04 UTC .* batch 4, torch bf16 took 5\.000 ms then and 6\.000 ms in this run/,
  );
  const refused = await bench(flags('other.json'));
  assert.is(refused.code, 1);
  assert.match(refused.err, /--torch_from was measured on another card, this is /);
});

test('a wrong flag is told in one line', async () => {
  const { code, err } = await bench(['--only', 'kernls']);
  assert.is(code, 2);
  assert.match(err, /^tesserae-gpu: --only: there is no kernls; did you mean kernels\?$/m);
});

test.run();
