// What the dashboard knows of runs: logs that grow, are cut and are broken, and whether a run lives.
import { spawn } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runsBy, runsIn } from '../../mae/dashboard/find.ts';
import { RunFollower } from '../../mae/dashboard/follow.ts';
import { LogFile } from '../../mae/dashboard/logfile.ts';
import { Watch } from '../../mae/dashboard/watch.ts';
import type { Message, Run } from '../../mae/dashboard/wire.ts';
import { readRunFolder } from '../../mae/report/gather.ts';
import type { Line } from '../../mae/report/lines.ts';
import { summary } from '../../mae/report/say.ts';
import { isAlive, thisProcess } from '../../mae/train/process.ts';
import { FACTS, jsonLines, metricsOf, writeRun } from '../support/run-folder.ts';

const root = mkdtempSync(join(tmpdir(), 'tesserae-dashboard-'));
test.after(() => rmSync(root, { recursive: true }));
const at = (...names: string[]): string => join(root, ...names);

test('a log is read as it grows; a line without its end waits, a line that is none is counted, another log is begun anew', async () => {
  const path = at('log');
  const log = new LogFile(path);
  let got: (Line | 'again')[] = [];
  const look = async () => {
    got = [];
    await log.look(
      (line) => got.push(line),
      () => got.push('again'),
    );
    return got;
  };
  assert.equal(await look(), [], 'there is none yet');
  writeFileSync(path, '{"a":1}\n{"a":2');
  assert.equal(await look(), [{ a: 1 }]);
  appendFileSync(path, '}\nno JSON\n\n[1]\n{"a":3,"text":"left out"}\n');
  assert.equal(await look(), [{ a: 2 }, { a: 3 }]);
  assert.equal(log.broken, { count: 2, first: 3 });
  assert.equal(await look(), []);
  // A resumed run cuts its log and goes on, here further than it was.
  writeFileSync(path, `{"a":1}\n${'{"a":4}\n'.repeat(40)}`);
  const again = await look();
  assert.equal([again.length, again[0], again[1], log.broken.count], [42, 'again', { a: 1 }, 0]);
  rmSync(path);
  assert.equal(await look(), ['again']);
  // More than is read at once, with letters of several bytes where it is cut.
  const many = Array.from({ length: 60_000 }, (_, i) => ({ step: i, é: i / 7 }));
  writeFileSync(path, jsonLines(many));
  assert.equal(await look(), many);
  rmSync(path);
  mkdirSync(path);
  assert.equal(await look(), []);
  assert.is(log.trouble, 'EISDIR');
});

test('a process is told from one that ended, and from another that has its number', async () => {
  const me = thisProcess();
  assert.is(isAlive(me), true);
  assert.is(isAlive({ ...me, host: 'elsewhere.example' }), null);
  if (me.started !== null) assert.is(isAlive({ ...me, started: '1' }), false);
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  const pid = child.pid as number;
  assert.is(isAlive({ pid, host: hostname(), started: null }), true);
  const closed = new Promise((done) => child.on('close', done));
  child.kill('SIGKILL');
  await closed;
  assert.is(isAlive({ pid, host: hostname(), started: null }), false);
});

test('the state of a run: waiting, running, finished, stopped, unknown', async () => {
  const stateIn = async (name: string) => {
    const follower = new RunFollower(0, at(name));
    await follower.look();
    return follower.run.state;
  };
  mkdirSync(at('waiting'));
  assert.is(await stateIn('waiting'), 'waiting');
  assert.is(await stateIn('nowhere'), 'waiting');
  const me = thisProcess();
  const dead = { ...me, pid: 2 ** 22 + 1 };
  await writeRun(at('running'), { epochs: 2, facts: { process: me } });
  assert.is(await stateIn('running'), 'running');
  // All epochs are there: the process may still be at something else, as a study is.
  await writeRun(at('finished'), { facts: { process: me } });
  assert.is(await stateIn('finished'), 'finished');
  // Ended within its third epoch, and goes on.
  await writeRun(at('within'), { epochs: 2, facts: { process: me } });
  appendFileSync(at('within', 'log.txt'), '{"epoch":2,"part":0.5,"train_loss":1}\n');
  assert.is(await stateIn('within'), 'running');
  const { facts, epochs } = await readRunFolder(at('within'));
  assert.match(summary({ facts, epochs, metrics: {} }), /^2\.5 of 3 epochs/);
  await writeRun(at('short'), { epochs: 1, facts: { process: dead, options: { ...FACTS.options, max_steps: 10 } } });
  assert.is(await stateIn('short'), 'finished');
  await writeRun(at('stopped'), { epochs: 2, facts: { process: dead } });
  assert.is(await stateIn('stopped'), 'stopped');
  await writeRun(at('elsewhere'), { epochs: 2, facts: { process: { ...me, host: 'elsewhere.example' } } });
  assert.is(await stateIn('elsewhere'), 'unknown');
  await writeRun(at('old'), { epochs: 2 });
  assert.is(await stateIn('old'), 'unknown');
});

test('what is new of a run is told, and what is broken; a run that went back is told anew', async () => {
  const path = at('told');
  await writeRun(path, { epochs: 1, facts: { process: thisProcess() } });
  const watch = new Watch([path]);
  const told: Message[] = [];
  const stop = await watch.listen((message) => told.push(message));
  const [run] = told[0].data as Run[];
  assert.equal(
    told.map(({ event }) => event),
    ['all', 'comparison'],
  );
  const first = metricsOf(1);
  const losses = first.filter((line) => 'loss' in line);
  assert.equal(
    run.metrics.loss.x,
    losses.map(({ step }) => step),
  );
  assert.equal(
    run.metrics.loss.y,
    losses.map(({ loss }) => loss),
  );
  assert.equal(run.metrics.heldout_loss.last, { x: 10, y: 0.6 });
  assert.equal([run.epochs.length, run.state, run.name], [1, 'running', 'told']);
  assert.equal(run.pictures.map(({ name, width, height }) => [name, width, height])[0], ['original.png', 8, 24]);
  assert.is(run.pictures.length, 5);

  told.length = 0;
  await watch.look();
  assert.equal(told, [], 'nothing is new');
  const second = metricsOf(2).slice(first.length);
  appendFileSync(join(path, 'metrics.jsonl'), jsonLines(second));
  await watch.look();
  assert.equal(told, [{ event: 'lines', data: { id: 0, metrics: second, epochs: [] } }]);

  told.length = 0;
  writeFileSync(join(path, 'run.json'), '{"half": ');
  appendFileSync(join(path, 'log.txt'), 'what?\n');
  writeFileSync(join(path, 'pictures', 'epoch-0007.png'), 'half a picture');
  await watch.look();
  const [standing] = told;
  assert.is(standing.event, 'standing');
  const { problems, facts, pictures } = standing.data as Run;
  assert.match(
    problems.join('\n'),
    /^run\.json is no JSON with facts of a run.*\nlog\.txt: a line is no JSON with numbers and left out \(the first is line 2\)$/,
  );
  assert.equal([facts, pictures.length], [null, 5]);

  told.length = 0;
  writeFileSync(join(path, 'metrics.jsonl'), jsonLines(first));
  await watch.look();
  assert.is(told[0].event, 'all');
  assert.is((told[0].data as Run[])[0].metrics.loss.x.length, 10);
  stop();
});

test('whatever the files hold, it is told or left out', async () => {
  const path = at('odd');
  const { step: _, ...noStep } = FACTS;
  for (const text of [
    '',
    'null',
    '[]',
    '{}',
    '{"options":{}}',
    JSON.stringify({ ...FACTS, parameters: 'many' }),
    JSON.stringify(noStep),
  ]) {
    await writeRun(path, { epochs: 1 });
    writeFileSync(join(path, 'run.json'), text);
    const follower = new RunFollower(0, path);
    await follower.look();
    assert.is(follower.run.facts, null, text);
    assert.match(follower.run.problems.join(), /^run\.json is no JSON with facts of a run/);
    assert.is(follower.run.state, 'unknown');
  }
  writeFileSync(
    join(path, 'metrics.jsonl'),
    '{"step":1e400,"loss":1}\n{"step":2,"loss":1e400,"lr":"fast"}\n{"loss":3}\n{"step":4,"loss":0.5}\n',
  );
  writeFileSync(join(path, 'log.txt'), '{"train_loss":1}\n{"epoch":0,"train_loss":2}\n');
  const follower = new RunFollower(0, path);
  await follower.look();
  const { metrics, epochs } = follower.run;
  assert.equal([Object.keys(metrics), metrics.loss.x, metrics.loss.y], [['loss'], [4], [0.5]]);
  assert.equal(epochs, [{ epoch: 0, train_loss: 2 }]);
});

test('runs that begin in a folder which is watched join the others', async () => {
  await writeRun(at('many', 'first'));
  mkdirSync(at('many', 'no run'));
  const paths = await runsIn([at('many'), at('many', 'first')]);
  assert.equal(paths, [at('many', 'first')]);
  const watch = new Watch(paths, () => runsBy([at('many')]));
  const told: Message[] = [];
  const stop = await watch.listen((message) => told.push(message));
  await writeRun(at('many', 'second'), { epochs: 1 });
  told.length = 0;
  for (let looks = 0; looks < 6; looks++) await watch.look();
  assert.equal(
    told.map(({ event }) => event),
    ['all', 'comparison'],
  );
  assert.equal(
    (told[0].data as Run[]).map(({ id, name, epochs }) => [id, name, epochs.length]),
    [
      [0, 'first', 3],
      [1, 'second', 1],
    ],
  );
  stop();
  for (const [path, rule] of [
    [at('many', 'no run'), /holds no run: name the output_dir/],
    [at('nowhere'), /there is no /],
    [at('many', 'first', 'log.txt'), /is a file: name the output_dir/],
  ] as const)
    await runsIn([path]).then(
      () => assert.unreachable(path),
      (error: Error) => assert.match(error.message, rule),
    );
});

test('several runs: every other one beside the first, in the words of tesserae compare', async () => {
  await writeRun(at('one'));
  await writeRun(at('two'), { factor: 1.5 });
  const watch = new Watch([at('one'), at('two')]);
  const told: Message[] = [];
  (await watch.listen((message) => told.push(message)))();
  const comparison = told.find(({ event }) => event === 'comparison')?.data as {
    id: number;
    rows: { metric: string; better: boolean; verdict: string }[];
  }[];
  assert.equal(
    comparison.map(({ id, rows }) => [id, rows.map(({ metric }) => metric)]),
    [[1, ['train_loss', 'heldout_loss']]],
  );
  assert.match(comparison[0].rows[1].verdict, /^apart from epoch 1 on: 50\.0 % worse at epoch 3$/);
});

test.run();
