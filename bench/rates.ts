// What the kernels of a training step reach of what the device can do at best: shortly measured, for forecasts of time.
import type { Device } from '../engine/device.ts';
import { floorOf, kindOf, type Rates } from '../engine/pace.ts';
import type { Precision } from '../engine/trace.ts';
import { catalogue } from '../kernels/index.ts';
import type { Progress, RatesBench } from '../mae/cli/rates.ts';
import { type CallTime, timeCalls } from './call.ts';
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

/** Each is measured in two rounds, some seconds apart, of which the faster counts: what else the machine does only ever adds. */
const ROUNDS = 2;

export const measureRates: RatesBench['measureRates'] = async (device, precision, kinds, progress) => {
  const names = [...new Set(kinds.map((kind) => kind.split(' ')[0]))];
  const found: Awaited<ReturnType<typeof round>>[] = [];
  for (let i = 0; i < ROUNDS; i++)
    found.push(await round(device, precision, names, (done, what) => progress((i + done) / ROUNDS, what)));
  progress(1, '');
  const most = (what: keyof Rates['best']): number => Math.max(...found.map(({ best }) => best[what]));
  const best = { copy: most('copy'), fma: most('fma'), matrix: most('matrix') };
  const overhead = Math.min(...found.map((f) => f.overhead));
  const shares: Record<string, number> = {};
  for (const [kind, { name, flops, bytes }] of Object.entries(found[0].times)) {
    const ms = Math.min(...found.map(({ times }) => times[kind].best));
    const own = Math.max(ms - overhead, 0.05 * ms);
    shares[kind] = Math.min(1, floorOf(name, { flops, bytes }, best) / own);
  }
  return { best, overhead, shares };
};

async function round(device: Device, precision: Precision, names: readonly string[], progress: Progress) {
  progress(0, 'what the device can do at best');
  const { best } = await bestOf(device);
  const overhead = await overheadOf(device);
  const times: Record<string, CallTime & { name: string }> = {};
  for (const [i, name] of names.entries()) {
    progress((i + 1) / (names.length + 1), name);
    Object.assign(times, await timesOf(device, precision, name));
  }
  return { best, overhead, times };
}

/** A dispatch with next to no work, among others of its kind. */
async function overheadOf(device: Device): Promise<number> {
  const kernel = catalogue.find(({ name }) => name === 'elementwise.fill');
  if (!kernel) return 0;
  return (await timeCalls(device, [{ kernel, problem: { n: 16, value: 0 } }], SAMPLING)).best;
}

/** By kind of call; kernels without a problem of their own have none. */
async function timesOf(device: Device, precision: Precision, name: string) {
  const kernel = catalogue.find((k) => k.name === name);
  const found: Record<string, CallTime & { name: string }> = {};
  for (const made of (kernel && PROBLEMS[name]?.(SIZES, device.traits)) ?? []) {
    const work = { kernel: kernel as NonNullable<typeof kernel>, made };
    const { problem, inputs } = (precision === 'f16' ? halved(work) : work).made;
    const time = await timeCalls(device, [{ kernel: work.kernel, problem, inputs }], SAMPLING);
    device.check();
    found[kindOf(name, problem)] = { name, ...time };
  }
  return found;
}
