// kill -9 during training, then --resume auto: the same bits. Three kills here; `npm run test:kill` does twenty.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { killAndResume } from './support/kill-resume.ts';

const rounds = Number(process.env.KILLS ?? 3);
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);

test(`${rounds} kills, half of them inside a save, leave the run bit-identical (SEED=${seed})`, async () => {
  const report = await killAndResume(rounds, seed, (line) => console.log(line));
  assert.is(report.identical, rounds);
  assert.ok(
    report.insideSave >= Math.floor(rounds / 2),
    `only ${report.insideSave} of ${rounds} kills fell inside a save`,
  );
});

test.run();
