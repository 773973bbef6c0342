// Where the time of a training step goes: every distinct call of its plan timed by itself.
import type { Device } from '../engine/device.ts';
import type { Plan } from '../engine/plan.ts';
import type { Call } from '../engine/trace.ts';
import { type AnyKernel, movedBytes, type Settings } from '../kernels/kernel.ts';
import type { CallRow } from '../mae/cli/benchkernels.ts';
import { buildAll, type Sampling, timeCalls } from './call.ts';

/** Every distinct call of a plan, timed by itself, the heaviest first. `progress` may end it early by giving false; `found` gets every row at once. */
export async function timePlan(
  device: Device,
  plan: Plan,
  sampling: Sampling,
  progress: (done: number, what: string) => unknown,
  found: (row: CallRow) => void = () => {},
): Promise<CallRow[]> {
  const rows: CallRow[] = [];
  const calls = distinctCalls(plan);
  await buildAll(
    device,
    calls.map(({ call }) => call),
  );
  for (const [i, { call, count }] of calls.entries()) {
    if (progress(i / calls.length, call.kernel.name) === false) return rows;
    const { kernel, problem } = call;
    const { best: _, ...time } = await timeCalls(device, [{ kernel, problem }], sampling);
    const text = problemText(kernel, problem);
    const row = { name: `${kernel.name} ${text}`, kernel: kernel.name, problem: text, count, ...time };
    rows.push(row);
    found(row);
  }
  progress(1, '');
  return rows;
}

/** A card does about so many operations while it moves a byte. */
const FLOPS_A_BYTE = 50;

function distinctCalls(plan: Plan): { call: Call; count: number }[] {
  const found = new Map<string, { call: Call; count: number }>();
  for (const { call } of plan.steps) {
    const key = `${call.kernel.name} ${JSON.stringify(call.problem)}`;
    const before = found.get(key);
    if (before) before.count++;
    else found.set(key, { call, count: 1 });
  }
  // Whoever ends it early has most of the time accounted for.
  const weight = ({ call: { kernel, problem }, count }: { call: Call; count: number }): number =>
    count * (kernel.flops({ ...kernel.options, ...problem } as never) / FLOPS_A_BYTE + movedBytes(kernel, problem));
  return [...found.values()].sort((a, b) => weight(b) - weight(a));
}

const LAYOUTS = ['NN', 'NT', 'TN'];
const EPILOGUES = ['', 'bias', 'bias+gelu', 'bias+residual', 'times'];

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
