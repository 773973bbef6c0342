// kill -9 during training, then --resume auto: the same bits, in f32 and in f16 while its loss scale moves. Three kills here;
// `npm run test:kill` does twenty.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { killAndResume } from './support/kill-resume.ts';

const kills = Number(process.env.KILLS ?? 3);
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const f16 = Math.floor(kills / 3);
const rounds = { f32: kills - f16, f16 };

test(`${kills} kills, half of them inside a save, leave the run bit-identical (SEED=${seed})`, async () => {
  const reports = await killAndResume(rounds, seed, (line) => console.log(line));
  assert.is(reports.f32.identical, rounds.f32, 'f32');
  assert.is(reports.f16.identical, rounds.f16, 'f16');
  const insideSave = reports.f32.insideSave + reports.f16.insideSave;
  assert.ok(insideSave >= Math.floor(kills / 2), `only ${insideSave} of ${kills} kills fell inside a save`);
  assert.is(reports.f32.lossScale, null);
  const { updates } = reports.f16;
  const skipped = reports.f16.lossScale?.skipped ?? 0;
  assert.ok(skipped > 3 && updates > 3, `the loss scale must have moved: ${skipped} steps skipped, ${updates} updates`);
});

test.run();
