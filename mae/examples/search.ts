// Search by image: features of files in batches, the most alike by cosine. npx tesserae run mae/examples/search.ts CHECKPOINT IMAGE…
import { Engine } from 'tesserae/engine';
import { openDawn } from 'tesserae/engine/node';
import { Extractor, fromPretrained } from 'tesserae/mae';
import { imageFiles } from 'tesserae/mae/node';

const [checkpoint, ...files] = process.argv.slice(2);
using engine = new Engine(await openDawn());
// Any format of mae/weights/README.md; of an autoencoder or a classifier the encoder alone.
const { model, config, data } = await fromPretrained(engine, checkpoint, { only: 'encoder' });
// One for all requests of a service: its buffers and plans stay.
const extractor = new Extractor(engine, model, { mean: data.mean, std: data.std, kinds: ['gap'], batchSize: 16 });

const index: Float32Array[] = [];
const images = await imageFiles(files, { channels: config.in_chans }); // paths, or the bytes of files
for await (const { ids, values } of extractor.over(images)) {
  for (let i = 0; i < ids.length; i++) {
    const row = values.gap.subarray(i * config.embed_dim, (i + 1) * config.embed_dim);
    const length = Math.hypot(...row);
    index.push(row.map((x) => x / length));
  }
}
const cosine = (a: Float32Array, b: Float32Array) => a.reduce((sum, x, i) => sum + x * b[i], 0);
for (const [i, row] of index.entries()) {
  const others = index.map((other, j) => ({ file: files[j], like: cosine(row, other) })).filter((_, j) => j !== i);
  const [best] = others.sort((a, b) => b.like - a.like);
  console.log(files[i], 'is most like', best?.file, best?.like.toFixed(3));
}
