// Evaluation's resize and centre crop, through the loader and the kernels, byte for byte what Pillow makes of pieces of 50 photographs
// (test/oracle/evaltransform.py); of whole ones where ORACLE names the folder that it wrote.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import type { Dataset } from '../mae/data/dataset.ts';
import { loadBatches } from '../mae/data/loader.ts';
import { newCapacities } from '../mae/data/pack.ts';
import { evalPlaces } from '../mae/data/sampler.ts';
import { configure } from '../mae/model/config.ts';
import { Preparer } from '../mae/train/prepare.ts';
import { digest, fixture, photographs } from './support/photographs.ts';

interface Case {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
  readonly size: number;
  readonly sha256: string;
}

const whole = process.env.ORACLE;
const cases: Case[] = whole
  ? (JSON.parse(readFileSync(join(whole, 'evaltransform.json'), 'utf8')) as Omit<Case, 'rgb'>[]).map((c, i) => ({
      ...c,
      rgb: readFileSync(join(whole, `${String(i).padStart(2, '0')}.rgb`)),
    }))
  : photographs().map((piece, i) => ({
      ...piece,
      ...fixture<Pick<Case, 'size' | 'sha256'>[]>('evaltransform.json')[i],
    }));

const device = await openDawn({ raiseLimits: false });
test.after(() => device.dispose());

test('there are fifty', () => {
  assert.is(cases.length, 50);
});

for (const maxBytes of whole ? [undefined] : [undefined, 4096]) {
  for (const size of new Set(cases.map((c) => c.size))) {
    if (3 * size * size > (maxBytes ?? Number.POSITIVE_INFINITY)) continue;
    test(`to ${size} x ${size}${maxBytes ? ', resized on the host where they are large' : ''}`, async () => {
      using engine = new Engine(device);
      const none = { classes: null, channels: 3, mean: [0, 0, 0], std: [1, 1, 1] };
      const own = cases.filter((c) => c.size === size);
      const read = async (i: number) => ({ ...own[i], data: own[i].rgb, channels: 3, label: -1 });
      const set: Dataset = { ...none, name: 'pieces', length: own.length, read };
      const config = configure(size % 16 ? 'mae_vit_nano_patch4_32' : 'mae_vit_tiny_patch16', {
        img_size: [size, size],
      });
      const preparer = new Preparer(engine, config, none);
      const output = { chans: 3, height: size, width: size, maxBytes };
      const place = evalPlaces(output, size <= 224 ? 224 / 256 : 1);
      const order = Uint32Array.from(own.keys());
      const loading = { order, batchSize: 1, place, output, capacities: newCapacities() };
      for await (const batch of loadBatches(set, loading)) {
        await preparer.run(batch);
        const { index } = batch;
        const pixels = await engine.read(preparer.images(1));
        const area = size * size;
        const got = Uint8Array.from({ length: 3 * area }, (_, k) =>
          Math.round(255 * pixels[(k % 3) * area + Math.floor(k / 3)]),
        );
        assert.is(digest(got), own[index].sha256, `${own[index].width} x ${own[index].height}, image ${index}`);
      }
    });
  }
}
test.run();
