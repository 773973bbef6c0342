// The part `kernels` of `bench gpu`: calls at the shapes that models give them, timed one by one.
import { movedBytes } from '../../kernels/kernel.ts';
import { buildAll, type KernelCall, timeCalls } from '../call.ts';
import { copyTimes } from './ceilings.ts';
import { modeText } from './report.ts';
import { shapes } from './shapes.ts';
import { openFor, QUICK, type Work } from './work.ts';

/** On a GPU samples hardly differ: five of 8 ms, as now and then one stalls. Most of a row's time then goes into its pipelines and inputs. */
const BRISK = { samples: 5, submitMs: 8 };

/** How often a long call runs for its measurement. */
const PASSES = 8;
/** All samples of a short call take so long. */
const SAMPLED_MS = 56;
/** On a GPU, what comes before them. */
const BEFORE_MS = 150;

/** A row for every shape: milliseconds, and what of arithmetic and memory that is. */
export async function measureKernels(work: Work): Promise<void> {
  const { mode, options, emit, note, left } = work;
  const device = await openFor(work);
  const sampling = options.quick ? QUICK : device.adapter.software ? {} : BRISK;
  // Of earlier rows, FLOP and bytes a millisecond at worst: nothing is forecast before there is one.
  let [slowestProduct, slowestStream] = [Infinity, Infinity];
  const copyTime = copyTimes(device, sampling);
  const list = shapes(options.quick).flatMap(({ what, shape, calls }) => {
    const made = calls(mode, device.traits);
    return made ? [{ what, shape, made }] : [];
  });
  if (!device.adapter.software)
    await buildAll(
      device,
      list.flatMap(({ made }) => made),
    );
  for (const { what, shape, made } of list) {
    const row = { what, shape, mode: modeText(mode) };
    const sum = (of: (call: KernelCall) => number): number => made.reduce((total, call) => total + of(call), 0);
    const flops = sum(({ kernel, problem }) => kernel.flops({ ...kernel.options, ...problem } as never));
    const bytes = sum(({ kernel, problem }) => movedBytes(kernel, problem));
    const product = /^(gemm|attention)/.test(what);
    const once = Math.max(product ? flops / slowestProduct : 0, bytes / slowestStream);
    if (left() <= (options.quick ? 0 : BEFORE_MS + Math.max(SAMPLED_MS, PASSES * once))) {
      emit({ ...row, error: 'not measured: out of time' });
      continue;
    }
    note(`${what} ${shape}`);
    try {
      const time = await timeCalls(device, made, sampling);
      device.check();
      // What only moves memory says nothing of products, and the other way round.
      if (product) slowestProduct = Math.min(slowestProduct, time.flops / time.ms);
      else slowestStream = Math.min(slowestStream, time.bytes / time.ms);
      emit({
        ...row,
        ms: time.ms,
        best_ms: time.best,
        gflop_s: time.flops / time.ms / 1e6,
        gb_s: time.bytes / time.ms / 1e6,
        flops: time.flops,
        bytes: time.bytes,
        ...(product ? {} : { copy_ms: await copyTime(time.bytes) }),
      });
    } catch (error) {
      emit({ ...row, error: (error as Error).message.split('\n')[0].slice(0, 300) });
    }
  }
  device.dispose();
}
