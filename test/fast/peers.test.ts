// The bench of peers, with fake peers: who agrees gets a ratio, who fails in whatever way is told and stops nobody; and
// bench/README.md says what the kept results say.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { installAll } from '../../bench/peers/bench.ts';
import { PEERS } from '../../bench/peers/catalogue.ts';
import { PeerChild } from '../../bench/peers/child.ts';
import { installed, reason } from '../../bench/peers/install.ts';
import { measurePiece } from '../../bench/peers/measure.ts';
import { dots } from '../../bench/peers/plot.ts';
import type { PeersReport, PieceResult } from '../../bench/peers/results.ts';
import { pieceTable } from '../../bench/peers/table.ts';
import { PIECES, type Piece, step } from '../../bench/peers/work.ts';
import { checksOf, type PartResult } from '../../bench/gpu/report.ts';
import { keptReports, withPeers } from '../../bench/report.ts';
import { thrown } from '../support/thrown.ts';

const url = (path: string) => new URL(path, import.meta.url);

function fake(how: string) {
  const args = ['--import', url('../../tools/register.mjs').href, fileURLToPath(url('../support/fake-peer.ts')), how];
  const program = process.env.TESSERAE_NODE || process.execPath;
  return { name: how, child: new PeerChild({ program, args, env: {} }) };
}

async function measure(piece: Piece, names: readonly string[], timeout = 60): Promise<PieceResult> {
  const [ours, ...peers] = ['good', ...names].map(fake);
  try {
    // Started first: on a busy machine that takes longer than what is waited for here.
    await Promise.all([ours, ...peers].map(({ child }) => child.ask({ do: 'hello' }, 60)));
    return await measurePiece(piece, ours, peers, { rounds: 3, stepRounds: 3, timeout, progress: () => {} });
  } finally {
    for (const { child } of [ours, ...peers]) child.kill();
  }
}

const gemm: Piece = { name: 'gemm', work: { kind: 'gemm', m: 5, n: 3, k: 7 }, flops: 210 };
const rowOf = ({ rows }: PieceResult, peer: string) => rows.find((row) => row.peer === peer) as PieceResult['rows'][0];

test('who agrees gets a ratio; who does not gets none; who fails stops nobody', async () => {
  const result = await measure(gemm, ['wrong', 'nan', 'crash', 'unable', 'error', 'slow']);
  assert.is(rowOf(result, 'good').ratio, 1);
  const slow = rowOf(result, 'slow');
  assert.is(slow.error, 0);
  assert.is(slow.samples?.length, 3);
  assert.ok(slow.ratio && slow.ratio > 1, `60 ms of sleep are ${slow.ratio} times a small product`);
  assert.ok(
    slow.ms && slow.ms > 50 && slow.cpu_ms !== undefined && slow.cpu_ms < slow.ms,
    'sleeping takes no CPU time',
  );
  for (const name of ['wrong', 'nan']) {
    const row = rowOf(result, name);
    assert.is(row.ratio, undefined);
    assert.match(row.why as string, 'disagrees');
    assert.ok(row.ms, 'its time is told');
  }
  assert.ok((rowOf(result, 'wrong').error as number) > 1e-3);
  assert.match(rowOf(result, 'crash').why as string, /^failed: ended with exit code 7/);
  assert.is(rowOf(result, 'unable').why, 'cannot: it knows nothing');
  assert.is(rowOf(result, 'error').why, 'failed: out of luck');
  const text = pieceTable(result).join('\n');
  assert.match(text, 'disagrees');
  assert.match(text, /slow .* x/);
  const wrong = text.split('\n').find((line) => line.includes('wrong')) as string;
  assert.match(wrong, /\([\d.]+ x, wrong numbers\)/);
  assert.not.match(wrong, / x /);
});

test('one that hangs is ended after its time', async () => {
  const result = await measure(gemm, ['hang', 'slow'], 4);
  assert.is(rowOf(result, 'hang').why, 'failed: no answer in 4 s');
  assert.ok(rowOf(result, 'slow').ratio);
});

const small = { batch: 2, embed_dim: 8, depth: 1, num_heads: 2 };
const tiny = step({ ...small, decoder_embed_dim: 8, decoder_depth: 1, decoder_num_heads: 2 });

test('of a training step every loss is compared', async () => {
  const result = await measure(tiny, ['slow', 'drift']);
  assert.is(rowOf(result, 'good').losses?.length, 4);
  assert.is(rowOf(result, 'slow').error, 0);
  assert.is(rowOf(result, 'drift').ratio, undefined);
  assert.match(rowOf(result, 'drift').why as string, 'losses');
});

test('without our own result there is no comparison', async () => {
  const [ours, peer] = ['error', 'good'].map(fake);
  const run = measurePiece(gemm, ours, [peer], { rounds: 1, stepRounds: 1, timeout: 60, progress: () => {} });
  const { message } = await thrown(() => run);
  for (const { child } of [ours, peer]) child.kill();
  assert.is(message, 'gemm: error: out of luck');
});

test('an installation that fails says why, and what to do without a network', () => {
  assert.match(reason('npm error code ENOTFOUND\nnpm error network'), '--offline');
  assert.match(reason('npm error code E404\nnpm error 404 no such thing'), 'E404 404 no such thing');
  assert.not.ok(installed({ name: 'x', colour: '', script: 'x', packages: { 'no-such-package': '9.9.9' }, note: '' }));
});

test('packages that cannot be installed leave out those who need them, and nobody else', async () => {
  const packages = (name: string) => ({ [name]: '9.9.9' });
  const peer = (name: string, of: string) => ({ ...PEERS[0], name, packages: packages(of), megabytes: 1 });
  const peers = [peer('a', 'no-such-1'), peer('b', 'no-such-2'), peer('c', 'no-such-1')];
  const tried: string[] = [];
  const absent = await installAll(peers, { say: () => {}, progress: () => {} }, async ({ name }) => {
    tried.push(name);
    if (name !== 'b') throw new Error('no luck');
  });
  assert.is(tried.length, 2);
  assert.equal(absent, { a: 'no luck', c: 'no luck' });
});

test('bench gpu says what was not tested, and that nothing was', () => {
  const part = (kind: string, passed: (boolean | null)[], kernels?: number): PartResult => ({
    name: kind,
    kind,
    status: 'ok',
    seconds: 1,
    limit: 1,
    kernels,
    rows: passed.map((p) => ({ passed: p })),
  });
  assert.equal(checksOf({ parts: [part('tests', [true, null, false], 5), part('step', [])] }), {
    text: '; 3 of 5 kernels not tested',
    nothing: false,
  });
  const idle = checksOf({ parts: [part('tests', [null, null], 2), part('conformance', [true])] });
  assert.is(idle.text, '; 0 of 1 conformance cases not tested; 2 of 2 kernels not tested');
  assert.ok(idle.nothing);
  assert.equal(checksOf({ parts: [part('step', [])] }), { text: '', nothing: false });
});

/** A report with random times: two peers, one of them wrong at the second piece. */
function report(adapter: string): PeersReport {
  const time = () => 1 + 1000 * Math.random();
  const rows = (wrong: boolean) => {
    const [ours, theirs] = [time(), time()];
    const verdict = wrong ? { why: 'disagrees: by much' } : { ratio: theirs / ours };
    return [
      { peer: 'tesserae', ms: ours, ratio: 1 },
      { peer: 'tfjs-webgpu', ms: theirs, ...verdict },
    ];
  };
  const peer = (name: string) => ({ name, version: '1', device: 'd', note: 'n' });
  return {
    kind: 'peers',
    date: '2026-01-02',
    command: 'tesserae bench peers',
    commit: 'abc',
    adapter,
    profile: 'cpu',
    environment: {},
    cpu: 'CPU',
    cores: 2,
    node: '20',
    load: 0,
    peers: [peer('tesserae'), peer('tfjs-webgpu')],
    absent: { torchlette: 'it was not there' },
    pieces: PIECES.slice(0, 2).map(({ name, flops }, i) => ({ name, flops, rows: rows(i === 1) })),
  };
}

test('the page has every ratio, and none where numbers differ', () => {
  const reports = ['llvmpipe: Mesa 1.2', 'some GPU'].map(report);
  const page = withPeers('a <!-- peers: written by tesserae bench report -->old<!-- /peers --> b', reports);
  assert.not.match(page, 'old');
  assert.match(page, /^a .* b$/s);
  assert.match(page, 'lavapipe of Mesa 1.2');
  assert.match(page, 'torchlette was left out: it was not there');
  for (const { pieces } of reports) {
    const [, right] = pieces[0].rows;
    const ratio = right.ratio as number;
    const row = page.split('\n').filter((line) => line.startsWith(`| ${pieces[0].name} `));
    const told = row.map((line) => Number(/\*\*([\d.]+)x\*\*/.exec(line)?.[1]));
    assert.ok(
      told.some((n) => Math.abs(n / ratio - 1) < 0.06),
      `${ratio} is not among ${told.join()}`,
    );
    const wrong = page.split('\n').filter((line) => line.startsWith(`| ${pieces[1].name} `));
    for (const line of wrong) {
      assert.not.match(line, '**');
      assert.match(line, /\([\d.]+x, wrong numbers\)/);
    }
  }
  assert.is(dots(reports).length, 2);
  assert.throws(() => withPeers('no marks', reports), /must hold/);
});

test('bench/README.md says what the kept results say', () => {
  const readme = readFileSync(url('../../bench/README.md'), 'utf8');
  const reports = keptReports();
  assert.is(readme, withPeers(readme, reports), 'npm run bench:report brings it up to date');
});

test.run();
