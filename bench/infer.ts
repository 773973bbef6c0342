// Features of whole images by the encoder alone: how many a second, and how long one batch takes.
import { fail } from '../engine/errors.ts';
import { numel } from '../engine/tensor.ts';
import { random } from '../kernels/random/random.ts';
import type { InferBench, InferRow } from '../mae/cli/benchinfer.ts';
import { featuresOf } from '../mae/model/features.ts';
import { median } from './median.ts';
import { report } from './result.ts';

/** Single batches that are timed at least, however long they take, and at most. */
const LEAST = 5;
const MOST = 200;
/** Batches that may be on their way when a next one is handed over. */
const IN_FLIGHT = 2;

/** The value below which 95 % of the samples lie. */
const p95 = (samples: readonly number[]): number =>
  [...samples].sort((a, b) => a - b)[Math.min(samples.length - 1, Math.ceil(0.95 * samples.length) - 1)];

export const benchInfer: InferBench['benchInfer'] = async (engine, model, options, progress) => {
  const { img_size, in_chans, embed_dim, depth } = model.config;
  const rows: InferRow[] = [];
  for (const [i, batch] of options.batches.entries()) {
    progress(`batches of ${batch} (${i + 1} of ${options.batches.length})`);
    const shape = [batch, in_chans, ...img_size];
    const bytes = 4 * numel(shape);
    const { maxBindingBytes } = engine.device.traits;
    if (bytes > maxBindingBytes)
      fail(`bench infer: ${batch} images take ${bytes} bytes, this device binds ${maxBindingBytes}; lower --batches`);
    const rng = random(batch);
    const images = engine.variable(`images ${batch}`, shape, {
      data: Float32Array.from({ length: numel(shape) }, () => rng.normal()),
    });
    const program = engine.compile({}, (_, t) => featuresOf(model, t.use(images), ['cls', 'gap']));
    const once = async (): Promise<unknown> => (await program.run({})).read();
    // The first compiles; the second finds everything as it stays.
    await once();
    await once();
    const half = 500 * options.seconds;
    const samples: number[] = [];
    const began = performance.now();
    while (samples.length < LEAST || (performance.now() - began < half && samples.length < MOST)) {
      const before = performance.now();
      await once();
      samples.push(performance.now() - before);
    }
    const ms = median(samples);
    const count = Math.max(LEAST, Math.min(MOST, Math.round(half / ms)));
    const rate = (1000 * batch * count) / (await inARow(once, count));
    const gflop_s = (program.plan({}).flops * rate) / batch / 1e9;
    // Not the slowest: one of two hundred says little of the median.
    const spread = p95(samples) / ms - 1;
    const name = `features of ${batch} images of ${img_size.join(' x ')}, encoder ${embed_dim} x ${depth}`;
    rows.push({ name, batch, ms, spread, p95_ms: p95(samples), images_per_s: rate, gflop_s });
    engine.release(images);
  }
  return report('infer', engine.device, { ...options, precision: engine.precision, config: model.config }, rows);
};

/** ms for `count` batches of which the next is handed over before the last is done. */
async function inARow(once: () => Promise<unknown>, count: number): Promise<number> {
  const began = performance.now();
  const waiting: Promise<unknown>[] = [];
  for (let i = 0; i < count; i++) {
    waiting.push(once());
    if (waiting.length > IN_FLIGHT) await waiting.shift();
  }
  await Promise.all(waiting);
  return performance.now() - began;
}
