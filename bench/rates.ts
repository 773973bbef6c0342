// What the kernels of a training step reach of what the device can do at best: shortly measured, for forecasts of time.
import type { Device } from '../engine/device.ts';
import { floorOf, kindOf, type Rates } from '../engine/pace.ts';
import type { Precision } from '../engine/trace.ts';
import { catalogue } from '../kernels/index.ts';
import type { RatesBench } from '../mae/cli/rates.ts';
import { timeCalls } from './call.ts';
import { bestOf, halved } from './catalogue.ts';
import { type BenchSizes, PROBLEMS } from './problems.ts';

/** Between the smallest and the largest models: what a ViT of width 384 asks of them at a small batch. */
const SIZES: BenchSizes = {
  batch: 16,
  chans: 3,
  height: 224,
  width: 224,
  patch_size: 16,
  patches: 196,
  keep: 49,
  dim: 384,
  heads: 6,
  decoder_dim: 256,
  parameters: 4_000_000,
};
const SAMPLING = { samples: 5, submitMs: 20 };

export const measureRates: RatesBench['measureRates'] = async (device, precision, kinds, progress) => {
  progress(0, 'what the device can do at best');
  const { best } = await bestOf(device);
  const overhead = await overheadOf(device);
  const shares: Record<string, number> = {};
  const names = [...new Set(kinds.map((kind) => kind.split(' ')[0]))];
  for (const [i, name] of names.entries()) {
    progress((i + 1) / (names.length + 1), name);
    Object.assign(shares, await sharesOf(device, precision, name, { best, overhead }));
  }
  progress(1, '');
  return { best, overhead, shares };
};

/** A dispatch with next to no work, among others of its kind. */
async function overheadOf(device: Device): Promise<number> {
  const kernel = catalogue.find(({ name }) => name === 'elementwise.fill');
  if (!kernel) return 0;
  return (await timeCalls(device, [{ kernel, problem: { n: 16, value: 0 } }], SAMPLING)).ms;
}

/** By kind of call; kernels without a problem of their own have none. */
async function sharesOf(
  device: Device,
  precision: Precision,
  name: string,
  { best, overhead }: Pick<Rates, 'best' | 'overhead'>,
): Promise<Record<string, number>> {
  const kernel = catalogue.find((k) => k.name === name);
  const found: Record<string, number> = {};
  for (const made of (kernel && PROBLEMS[name]?.(SIZES, device.traits)) ?? []) {
    const work = { kernel: kernel as NonNullable<typeof kernel>, made };
    const { problem, inputs } = (precision === 'f16' ? halved(work) : work).made;
    const time = await timeCalls(device, [{ kernel: work.kernel, problem, inputs }], SAMPLING);
    device.check();
    const ms = Math.max(time.ms - overhead, 0.05 * time.ms);
    found[kindOf(name, problem)] = Math.min(1, floorOf(name, time, best) / ms);
  }
  return found;
}
