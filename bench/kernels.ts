// Where the time of a training step goes: every distinct call of its plan timed by itself.
import type { Device } from '../engine/device.ts';
import { Engine } from '../engine/engine.ts';
import { type DType, type HostData, numel, type Shape, type Tensor, type Variable } from '../engine/tensor.ts';
import type { Call, Trace } from '../engine/trace.ts';
import type { AnyKernel, Settings } from '../kernels/kernel.ts';
import { random } from '../kernels/random/random.ts';
import type { KernelBench, KernelRow } from '../mae/cli/bench.ts';
import { trialStep } from '../mae/train/step.ts';
import { median } from './step.ts';

/** A call is repeated within one submit until that takes so long: the host's part and the grain of waiting vanish. */
const SUBMIT_MS = 20;
const MOST_REPEATS = 400;

export const benchKernels: KernelBench['benchKernels'] = async (device, sizes, progress) => {
  const calls = distinctCalls(device, sizes);
  const rows: KernelRow[] = [];
  for (const [i, { call, count }] of calls.entries()) {
    progress(i / calls.length, call.kernel.name);
    rows.push(await timeCall(device, call, count, sizes.steps));
  }
  progress(1, '');
  return rows;
};

function distinctCalls(
  device: Device,
  sizes: Parameters<KernelBench['benchKernels']>[1],
): { call: Call; count: number }[] {
  using engine = new Engine(device);
  const found = new Map<string, { call: Call; count: number }>();
  for (const { call } of trialStep(engine, sizes.config, sizes.batchSize, sizes.maskRatio).plan.steps) {
    const key = `${call.kernel.name} ${JSON.stringify(call.problem)}`;
    const before = found.get(key);
    if (before) before.count++;
    else found.set(key, { call, count: 1 });
  }
  return [...found.values()];
}

async function timeCall(
  device: Device,
  { kernel, problem, bindings }: Call,
  count: number,
  samples: number,
): Promise<KernelRow> {
  using engine = new Engine(device);
  const variables = makeInputs(engine, kernel, problem);
  const program = (times: number) =>
    engine.compile({}, (_, t: Trace) => {
      for (let i = 0; i < times; i++) {
        const inputs = Object.fromEntries(Object.entries(variables).map(([name, v]) => [name, v && t.use(v)]));
        t.dispatch(kernel, inputs as never, problem as never);
      }
      return {} as Record<never, Tensor>;
    });
  const time = async (run: ReturnType<typeof program>): Promise<number> => {
    const began = performance.now();
    await run.run({});
    await engine.finish();
    return performance.now() - began;
  };
  const once = program(1);
  await time(once);
  const first = Math.min(await time(once), await time(once));
  const times = Math.min(MOST_REPEATS, Math.max(1, Math.ceil(SUBMIT_MS / Math.max(0.01, first))));
  const repeated = times === 1 ? once : program(times);
  if (times > 1) await time(repeated);
  const measured: number[] = [];
  for (let i = 0; i < samples; i++) measured.push((await time(repeated)) / times);
  const bytes = Object.values(bindings).reduce((sum, tensor) => sum + (tensor ? 4 * numel(tensor.shape) : 0), 0);
  return {
    kernel: kernel.name,
    problem: problemText(kernel, problem),
    count,
    ms: median(measured),
    flops: kernel.flops(problem as never),
    bytes,
  };
}

/** A variable for every binding that a call reads or updates: the kernel's own test inputs, else N(0, 1). */
function makeInputs(engine: Engine, kernel: AnyKernel, problem: Settings): Record<string, Variable | null> {
  const shapes = kernel.shapes(problem as never) as Record<string, Shape | null>;
  const given = kernel.inputs?.(problem as never, random(1)) ?? {};
  const variables: Record<string, Variable | null> = {};
  for (const [name, { access, type }] of Object.entries(kernel.bindings) as [
    string,
    { access: string; type: DType },
  ][]) {
    if (access === 'read_write' && !kernel.inout.includes(name)) continue;
    const shape = shapes[name];
    variables[name] =
      shape && engine.variable(name, shape, { dtype: type, data: numbers(type, numel(shape), given[name]) });
  }
  return variables;
}

const PATTERN = 65536;

function numbers(type: DType, n: number, given: ArrayLike<number> | undefined): HostData {
  if (type === 'u32') return given ? Uint32Array.from(given) : new Uint32Array(n);
  if (type === 'i32') return given ? Int32Array.from(given) : new Int32Array(n);
  if (given) return Float32Array.from(given);
  const rng = random(2);
  const pattern = Float32Array.from({ length: Math.min(n, PATTERN) }, () => rng.normal());
  const data = new Float32Array(n);
  for (let at = 0; at < n; at += PATTERN) data.set(pattern.subarray(0, Math.min(PATTERN, n - at)), at);
  return data;
}

const LAYOUTS = ['NN', 'NT', 'TN'];
const EPILOGUES = ['', 'bias', 'bias+gelu', 'bias+residual', 'dgelu'];

/** What tells calls of a kernel apart, in few words. */
export function problemText(kernel: AnyKernel, problem: Settings): string {
  if (kernel.name === 'gemm') {
    const { LAYOUT, EPILOGUE, m, n, k, batch, splits } = problem as Record<string, number>;
    const parts = [
      `${LAYOUTS[LAYOUT]} ${m}x${n}x${k}`,
      batch > 1 && `batch ${batch}`,
      splits > 1 && `${splits} splits`,
      EPILOGUES[EPILOGUE],
    ];
    return parts.filter(Boolean).join(' ');
  }
  return Object.entries(problem)
    .filter(([, value]) => value !== false && value !== 0)
    .map(([name, value]) =>
      value === true ? name : `${name} ${Number.isInteger(value) ? value : (value as number).toPrecision(3)}`,
    )
    .join(', ');
}
