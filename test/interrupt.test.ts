// Ctrl-C in the middle of an epoch: the run saves where it stands, ends with the signal's code, and goes on from there bit for bit.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { interruptible } from '../mae/cli/interrupt.ts';
import { CutShort, EndsSoon } from '../mae/train/cutshort.ts';
import { parsePretrainOptions } from '../mae/train/options.ts';
import { pretrain } from '../mae/train/pretrain.ts';
import { silent } from '../mae/train/reporter.ts';
import { fakeCifar, hashOf } from './support/kill-resume.ts';
import { cli } from './support/spawn-cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'tesserae-interrupt-'));
test.after(() => rmSync(folder, { recursive: true }));
const data = join(folder, 'data');
fakeCifar(data, Number(process.env.SEED ?? Date.now() % 2 ** 31));
// Nothing is saved but at the end: a checkpoint before that can only come of the signal.
const flags =
  '--model mae_vit_nano_patch4_32 --depth 1 --decoder_depth 1 --batch_size 2 --epochs 1 --warmup_epochs 0.1';
const train = (name: string, ...more: string[]) => {
  const output = join(folder, name);
  return ['pretrain', '--data_path', data, '--output_dir', output, '--heldout', '4', ...flags.split(' '), ...more];
};
const checkpoint = (name: string): string => join(folder, name, 'checkpoint.safetensors');

/** Steps of which the log tells. */
function stepsIn(name: string): number {
  const file = join(folder, name, 'metrics.jsonl');
  return existsSync(file) ? readFileSync(file, 'utf8').split('"loss"').length - 1 : 0;
}

test('interrupted and saved: the same command goes on, and ends with the same bits', async () => {
  const whole = await cli(train('whole'));
  assert.is(whole.code, 0, whole.err);
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    const cut = await cli(train(signal), {}, (child) => {
      const timer = setInterval(() => {
        if (stepsIn(signal) < 5) return;
        clearInterval(timer);
        child.kill(signal);
        // The kernel, the shell and npm all tell of a terminal that closed, and `timeout` tells all processes: twice is not a second wish.
        if (signal !== 'SIGINT') child.kill(signal);
      }, 20);
      child.on('close', () => clearInterval(timer));
    });
    assert.is(cut.code, code, cut.err);
    assert.match(cut.err, /interrupted: saving \(Ctrl-C now ends at once\)/);
    assert.match(cut.err, /interrupted and saved; the same command with --resume auto goes on/);
    assert.is(cut.out, '');
    assert.ok(stepsIn(signal) < stepsIn('whole'), 'it ended before its end');
    assert.equal(readdirSync(join(folder, signal)).sort(), [
      'checkpoint.safetensors',
      'metrics.jsonl',
      'pictures',
      'run.json',
    ]);
    if (signal === 'SIGHUP') continue;
    const rest = await cli(train(signal, '--resume', 'auto'));
    assert.is(rest.code, 0, rest.err);
    assert.is(hashOf(checkpoint(signal)), hashOf(checkpoint('whole')));
    assert.is(stepsIn(signal), stepsIn('whole'));
  }
});

test('Ctrl-C ends at once when something was told before; what is told twice by other signals does not', async () => {
  const { exit } = process;
  const { write } = process.stderr;
  for (const [signals, atOnce, code] of [
    [['SIGINT', 'SIGINT'], true, 130],
    [['SIGTERM', 'SIGINT'], true, 130],
    [['SIGHUP', 'SIGINT'], true, 130],
    [['SIGHUP', 'SIGHUP', 'SIGTERM'], false, 129],
    [['SIGTERM', 'SIGTERM', 'SIGHUP'], false, 143],
    [['SIGINT', 'SIGTERM'], false, 130],
  ] as const) {
    const ended: unknown[] = [];
    let said = '';
    process.exit = (given) => {
      ended.push(given);
      throw new Error('ended');
    };
    process.stderr.write = (text) => Boolean((said += text));
    try {
      await interruptible(silent, async (stop) => {
        for (const signal of signals) process.emit(signal, signal);
        assert.ok(stop.aborted);
      }).catch((error) => assert.is(error.message, 'ended'));
    } finally {
      Object.assign(process, { exit });
      process.stderr.write = write;
    }
    assert.equal(ended, [code], `${signals}`);
    assert.match(said, atOnce ? /^interrupted again: ended at once/ : /^interrupted and saved/);
  }
});
test('a step that does not end in time is left: saved as it stood before, and the same bits in the end', async () => {
  const device = await openDawn({ profile: 'simt' });
  let stuck = false;
  const held: ((why: Error) => void)[] = [];
  // From when it is stuck, the device gives nothing back.
  const createBuffer = device.gpu.createBuffer.bind(device.gpu);
  Object.defineProperty(device.gpu, 'createBuffer', {
    value: (descriptor: GPUBufferDescriptor) => {
      const buffer = createBuffer(descriptor);
      const mapAsync = buffer.mapAsync.bind(buffer);
      const map: GPUBuffer['mapAsync'] = (...args) =>
        stuck ? new Promise<never>((_, reject) => held.push(reject)) : mapAsync(...args);
      Object.defineProperty(buffer, 'mapAsync', { value: map });
      return buffer;
    },
  });
  const [SAVED, ASKED, STEPS] = [6, 8, 14];
  const run = async (name: string, resume: string, stop?: AbortController) => {
    const engine = new Engine(device);
    const sizes = { model: 'mae_vit_nano_patch4_32', embed_dim: 48, depth: 1, decoder_depth: 1, seed: 3, heldout: 4 };
    const paths = { data_path: data, output_dir: join(folder, name), resume };
    const options = { ...sizes, ...paths, batch_size: 8, epochs: 1, warmup_epochs: 0, max_steps: STEPS, pictures: 0 };
    const step = ({ step }: { step: number }): void => {
      if (step !== ASKED) return;
      stuck = stop !== undefined;
      stop?.abort(new EndsSoon(1));
    };
    const parsed = parsePretrainOptions({ ...options, save_steps: SAVED });
    await pretrain(engine, parsed, { ...silent, step }, stop?.signal).finally(() => {
      stuck = false;
      for (const give of held.splice(0)) give(new Error('given up')); // who waits for them would keep the process
    });
    engine.dispose();
  };
  await run('free', '');
  const error = await run('stuck', '', new AbortController()).catch((e: Error) => e);
  assert.instance(error, CutShort, String(error));
  assert.match(String(error), /saved as it was after step 6$/);
  assert.is(stepsIn('stuck'), SAVED);
  await run('stuck', 'auto');
  assert.is(hashOf(checkpoint('stuck')), hashOf(checkpoint('free')));
  assert.is(stepsIn('stuck'), STEPS);
  device.dispose();
});
test.run();
