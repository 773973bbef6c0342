// The power fails after any call of a save: whatever of it reached the disk, a whole checkpoint is there. `CUTS=5000` looks at more states.
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { writeFileAtomic } from '../../engine/node/files.ts';
import { rawTensor } from '../../engine/rawtensor.ts';
import { parseSafetensors } from '../../engine/safetensors.ts';
import { writeSafetensors } from '../../engine/safetensors-write.ts';
import { random } from '../../kernels/random/random.ts';
import { cutDisk } from '../support/power-cut.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const cuts = Number(process.env.CUTS ?? 100);
console.log(`SEED=${seed}`);
const NAME = 'checkpoint.safetensors';
const SAVES = 3;

const checkpoint = (version: number) =>
  writeSafetensors([['w', rawTensor('F32', [700], new Float32Array(700).fill(version))]], { version: `${version}` });

/** The version of a file's bytes; null where they are not a whole checkpoint. */
function versionOf(bytes: Uint8Array | undefined): number | null {
  if (!bytes) return 0;
  try {
    return Number(parseSafetensors(bytes, { requireChecksums: true }).metadata.get('version'));
  } catch {
    return null;
  }
}

/** Saves some versions; at every call of each save looks at states after a power cut. Says what was found that may not be. */
async function sweep(forget: readonly string[]): Promise<{ states: number; wrong: string[] }> {
  const rng = random(seed, forget.length);
  const wrong: string[] = [];
  let states = 0;
  let [done, at] = [0, 1];
  const cut = cutDisk((call) => {
    for (let i = 0; i < cuts; i++) {
      states++;
      const found = versionOf(cut.afterCut(rng).get(NAME));
      if (found === null || found < done || found > at)
        wrong.push(`after ${call} of save ${at}: ${found ?? 'damaged'}`);
    }
  }, forget);
  for (at = 1; at <= SAVES; at++) {
    await writeFileAtomic(join('/nowhere', NAME), checkpoint(at), cut.disk);
    done = at;
    for (let i = 0; i < cuts; i++) {
      const found = versionOf(cut.afterCut(rng).get(NAME));
      if (found !== done) wrong.push(`after save ${done}: ${found ?? 'damaged'}`);
    }
  }
  assert.equal(new Set(cut.calls), new Set(['create', 'write', 'sync', 'rename', 'sync folder']));
  return { states, wrong };
}

test('every prefix of the calls of a save, with what was not fsynced lost, torn or in another order: a whole checkpoint', async () => {
  const { states, wrong } = await sweep([]);
  console.log(`${states} states`);
  assert.ok(states >= 1000, `${states} states`);
  assert.equal(wrong, []);
});

for (const call of ['sync', 'sync folder']) {
  test(`a save without its ${call} would be caught`, async () => {
    assert.ok((await sweep([call])).wrong.length > 0);
  });
}

test.run();
