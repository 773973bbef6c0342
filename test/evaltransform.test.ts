// Evaluation's resize and centre crop, through the loader and the kernels, byte for byte what Pillow makes (test/oracle/evaltransform.py).
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import type { Dataset } from '../mae/data/dataset.ts';
import { loadBatches } from '../mae/data/loader.ts';
import { newCapacities } from '../mae/data/pack.ts';
import { cropPart, evalPlaces } from '../mae/data/sampler.ts';
import { configure } from '../mae/model/config.ts';
import { Preparer } from '../mae/train/prepare.ts';

interface Case {
  width: number;
  height: number;
  size: number;
  rgb: string;
  out: string;
}
const cases = JSON.parse(
  readFileSync(new URL('./oracle/fixtures/evaltransform.json', import.meta.url), 'utf8'),
) as Case[];
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));

for (const maxBytes of [undefined, 4096]) {
  for (const { width, height, size, rgb, out } of cases) {
    test(`${width} x ${height} to ${size}${maxBytes ? ', resized on the host' : ''}`, async () => {
      using device = await openDawn({ raiseLimits: false });
      using engine = new Engine(device);
      const data = bytes(rgb);
      const none = { name: 'one', length: 1, classes: null, channels: 3, mean: [0, 0, 0], std: [1, 1, 1] };
      const set: Dataset = { ...none, read: async () => ({ data, height, width, channels: 3, label: -1 }) };
      const config = configure('mae_vit_nano_patch4_32', { img_size: [size, size] });
      const preparer = new Preparer(engine, config, none);
      const output = { chans: 3, height: size, width: size, maxBytes };
      const place = evalPlaces(output, cropPart(size));
      const loading = { order: Uint32Array.of(0), batchSize: 1, place, output, capacities: newCapacities() };
      for await (const batch of loadBatches(set, loading)) await preparer.run(batch);
      const pixels = await engine.read(preparer.images(1));
      const want = bytes(out);
      const got = Array.from(want, (_, i) => Math.round(255 * pixels[(i % 3) * size * size + Math.floor(i / 3)]));
      assert.equal(got, [...want]);
    });
  }
}
test.run();
