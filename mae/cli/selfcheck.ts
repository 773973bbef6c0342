// Runs kernels of the catalogue on the device that is open, beside their f64 references; and times two of them.
import type { Engine } from '../../engine/engine.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { checkKernel } from '../../engine/testing/check-kernel.ts';
import type { Trace } from '../../engine/trace.ts';
import { elementwiseCopy } from '../../kernels/elementwise/elementwise.ts';
import { dense, gemm, NT } from '../../kernels/gemm/gemm.ts';
import { type AnyKernel, catalogue, type Settings } from '../../kernels/index.ts';
import { resolve } from '../../kernels/restate.ts';

export interface KernelCheck {
  readonly kernel: string;
  /** Variants that were checked. */
  readonly profiles: readonly string[];
  readonly problems: number;
  /** Worst error over tolerance, absolute and relative together: at most 1 where all is right. */
  readonly error: number;
  /** Why it could not be run at all. */
  readonly failure: string | null;
}

/** The largest case of every kernel, of gemm one for each layout and epilogue. */
export function problemsOf(kernel: AnyKernel): Settings[] {
  const cases = (kernel.cases as readonly Settings[]).map((c) => ({ ...kernel.options, ...c }) as Settings);
  const largest = new Map<string, Settings>();
  for (const c of cases) {
    const key = kernel.name === 'gemm' ? `${c.LAYOUT} ${c.EPILOGUE}` : '';
    const before = largest.get(key);
    if (!before || kernel.flops(c as never) >= kernel.flops(before as never)) largest.set(key, c);
  }
  return [...largest.values()];
}

export async function* checkKernels(engine: Engine, seed: number): AsyncGenerator<KernelCheck> {
  for (const kernel of catalogue) {
    const problems = problemsOf(kernel);
    const profiles = new Set<string>();
    let error = 0;
    let failure: string | null = null;
    for (const [i, problem] of problems.entries()) {
      try {
        profiles.add(resolve(kernel, problem, engine.device.traits).profile);
        error = Math.max(error, await checkKernel(engine, kernel, problem, seed + i));
      } catch (thrown) {
        failure ??= (thrown as Error).message.split('\n')[0];
      }
    }
    yield { kernel: kernel.name, profiles: [...profiles], problems: problems.length, error, failure };
  }
}

interface Figures {
  /** Bytes read and written in a second, by a copy. */
  readonly copyBytesPerSecond: number;
  /** Floating-point operations in a second, by a product of two square matrices. */
  readonly gemmFlops: number;
  readonly gemmSide: number;
}

/** Medians of five: small enough for a software adapter, large enough to say something of a GPU. */
export async function measure(engine: Engine): Promise<Figures> {
  const { software } = engine.device.adapter;
  const side = software ? 512 : 2048;
  const n = (software ? 4 : 64) * 2 ** 20;
  const times = software ? 2 : 16;
  const x = engine.variable('copy source', [n], { data: new Float32Array(n).fill(1) });
  const square = (name: string) =>
    engine.variable(name, [side, side], { data: new Float32Array(side * side).fill(0.5) });
  const [a, b] = [square('gemm a'), square('gemm b')];
  const problem = { ...dense({ m: side, n: side, k: side, LAYOUT: NT }), LAYOUT: NT };
  const repeat = (once: (t: Trace) => void) => (_: unknown, t: Trace) => {
    for (let i = 0; i < times; i++) once(t);
    return {} as Record<never, Tensor>;
  };
  const copy = engine.compile(
    {},
    repeat((t) => t.run(elementwiseCopy, { x: t.use(x) }, { n })),
  );
  const product = engine.compile(
    {},
    repeat((t) => t.run(gemm, { a: t.use(a), b: t.use(b), bias: null, r: null }, problem)),
  );
  return {
    copyBytesPerSecond: (8 * n * times) / (await median(engine, copy)),
    gemmFlops: (2 * side ** 3 * times) / (await median(engine, product)),
    gemmSide: side,
  };
}

/** Seconds of a run; the first, which compiles, does not count. */
async function median(
  engine: Engine,
  program: { run(inputs: Record<never, never>): Promise<unknown> },
): Promise<number> {
  const seconds: number[] = [];
  for (let i = 0; i < 6; i++) {
    const began = performance.now();
    await program.run({});
    await engine.finish();
    if (i > 0) seconds.push((performance.now() - began) / 1000);
  }
  return seconds.sort((p, q) => p - q)[2];
}
