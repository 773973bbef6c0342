// What finishes gradients waits for another of its kind, and both become one dispatch: nothing in the backward pass reads them, and a block has
// two norms and four weights.
import type { AnyKernel, Settings } from '../kernels/kernel.ts';
import { gemmFinish } from '../kernels/gemm/finish.ts';
import { EPILOGUES, gemmReduce } from '../kernels/gemm/gemm.ts';
import { reduceColumns } from '../kernels/reduce/reduce.ts';
import type { Tensor } from './tensor.ts';
import type { Call } from './trace.ts';

/** Two calls of one kind as one; null where they are no pair. */
type Join = (a: Call, b: Call) => Pick<Call, 'kernel' | 'problem' | 'bindings'> | null;

const same = (a: Settings, b: Settings): boolean => Object.keys(a).every((name) => a[name] === b[name]);
const second = (of: Call['bindings'], names: readonly string[]): Record<string, Tensor | null> =>
  Object.fromEntries(names.map((name) => [`${name}2`, of[name]]));

/** The column sums of a norm's partial gradients, of two norms over equal tensors. */
const norms: Join = (a, b) => {
  if (!same(a.problem, b.problem)) return null;
  const { x, y, z, v } = a.bindings;
  const bindings = { x, y, z, v, ...second(b.bindings, ['x', 'y', 'z', 'v']) };
  return { kernel: reduceColumns as unknown as AnyKernel, problem: { ...a.problem, TWICE: true }, bindings };
};

/** The sums over splits of two weight gradients, of any sizes. */
const weights: Join = (a, b) => {
  const { DBIAS, splits, rows, n, groups } = a.problem;
  const { DBIAS: DBIAS2, splits: splits2, rows: rows2, n: n2, groups: groups2 } = b.problem;
  const { parts, dbiasParts, c, dbias } = a.bindings;
  const bindings = { parts, dbiasParts, c, dbias, ...second(b.bindings, ['parts', 'dbiasParts', 'c', 'dbias']) };
  const problem = { DBIAS, DBIAS2, splits, rows, n, groups, splits2, rows2, n2, groups2 };
  return { kernel: gemmFinish as unknown as AnyKernel, problem, bindings };
};

/** How a call is joined with another of its kind; null where it does not wait. */
function joinOf({ kernel, problem, bindings }: Call): Join | null {
  if (kernel.name === reduceColumns.name && (problem.SUMS as number) > 1 && problem.groups === 1 && !problem.TWICE)
    return norms;
  const plain = problem.EPILOGUE === EPILOGUES.none && !problem.C16 && !bindings.r && !bindings.u;
  return kernel.name === gemmReduce.name && plain ? weights : null;
}

/** Calls that wait, at most one of a kind, in a backward pass alone. */
export class Pairs {
  readonly #waiting = new Map<Join, Call>();
  #open = false;

  /** Calls that come while `work` runs may wait. @returns those that no other came for */
  within(work: () => void): Call[] {
    this.#open = true;
    work();
    this.#open = false;
    return this.#take(() => true);
  }

  /** Those whose results this call reads or changes: they wait no longer. */
  neededBy({ bindings }: Call): Call[] {
    if (!this.#waiting.size) return [];
    const storages = new Set(Object.values(bindings).map((t) => t?.storage));
    return this.#take((call) => call.writes.some((name) => storages.has(call.bindings[name]?.storage)));
  }

  /** The calls to record now that this one has come: itself, it joined with another, or none. */
  add(call: Call): Call[] {
    const join = this.#open && !call.again ? joinOf(call) : null;
    if (!join) return [call];
    const other = this.#waiting.get(join);
    this.#waiting.set(join, call);
    if (!other) return [];
    const joined = join(other, call);
    if (!joined) return [other];
    this.#waiting.delete(join);
    const writes = [...other.writes, ...call.writes.map((name) => `${name}2`)];
    return [{ ...joined, writes, again: false }];
  }

  #take(wanted: (call: Call) => boolean): Call[] {
    const taken = [...this.#waiting].filter(([, call]) => wanted(call));
    for (const [join] of taken) this.#waiting.delete(join);
    return taken.map(([, call]) => call);
  }
}
