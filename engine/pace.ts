// How long a plan will take, from what the adapter was measured to do: nothing runs.
import type { Settings } from '../kernels/kernel.ts';
import type { Plan } from './plan.ts';

/** What an adapter does at best, and what of that each kernel reaches; measured on it (bench/rates.ts). */
export interface Rates {
  /** GB/s read plus written; GFLOP/s of f32 multiply-adds, and of f16 matrices where products are computed on them, else 0. */
  readonly best: Readonly<Record<'copy' | 'fma' | 'matrix', number>>;
  /** Milliseconds that a dispatch takes beside its work. */
  readonly overhead: number;
  /** By kind of call: the time of its bytes or its arithmetic at best, whichever is longer, over the time taken. */
  readonly shares: Readonly<Record<string, number>>;
}

const LAYOUTS = ['NN', 'NT', 'TN'];

/** Calls of a kind reach about the same share: those of a kernel, and of matrix products those of a layout. */
export const kindOf = (kernel: string, { LAYOUT }: Settings): string =>
  kernel === 'gemm' ? `gemm ${LAYOUTS[Number(LAYOUT)]}` : kernel;

/** Milliseconds that the work takes at best: all of its bytes once, or its arithmetic. */
export function floorOf(kernel: string, work: { flops: number; bytes: number }, best: Rates['best']): number {
  const arithmetic = best.matrix && /^(gemm|attention)/.test(kernel) ? best.matrix : best.fma;
  return Math.max(work.flops / arithmetic, work.bytes / best.copy) / 1e6;
}

export interface Pace {
  /** Milliseconds of all dispatches, one after the other. */
  readonly ms: number;
  /** The same where every kernel reached what the adapter does at best, without overheads. */
  readonly floor: number;
}

/** Kinds of call of these plans. */
export const kindsOf = (plans: readonly Plan[]): string[] => [
  ...new Set(
    [...new Set(plans)].flatMap(({ steps }) => steps.map(({ call }) => kindOf(call.kernel.name, call.problem))),
  ),
];

export function paceOf(plans: readonly Plan[], { best, overhead, shares }: Rates): Pace {
  const known = Object.values(shares).sort((a, b) => a - b);
  const usual = known[known.length >> 1] ?? 1;
  const counts = new Map<Plan, number>();
  for (const plan of plans) counts.set(plan, (counts.get(plan) ?? 0) + 1);
  let [ms, floor] = [0, 0];
  for (const [plan, count] of counts) {
    for (const { call } of plan.steps) {
      const { kernel, problem, bindings } = call;
      const bytes = Object.values(bindings).reduce((sum, t) => sum + (t?.bytes ?? 0), 0);
      const least = floorOf(kernel.name, { flops: kernel.flops(problem as never), bytes }, best);
      floor += count * least;
      ms += count * (overhead + least / (shares[kindOf(kernel.name, problem)] ?? usual));
    }
  }
  return { ms, floor };
}
