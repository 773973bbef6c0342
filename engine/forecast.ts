// GPU memory that plans will take, found by giving them buffers that are only counted: nothing is allocated.
import { allocate, borrowFrom, bufferBytes, type Buffers, layoutParams, type Sized } from './allocate.ts';
import type { Plan } from './plan.ts';
import type { Slab } from './tensor.ts';

/** Bytes, exactly as Memory would count them after every plan has run. */
export class MemoryForecast implements Buffers<Sized> {
  /** What lives within a run only: activations and their gradients, shared by lifetime and between plans. */
  transients = 0;
  /** Inputs of all plans, which are uploaded for every run. */
  inputs = 0;
  /** Constants, parameters of dispatches, buffers that results are read by. */
  others = 0;
  readonly slabs = new Map<Slab, number>();
  readonly #pool: Sized[] = [];
  readonly #slabs = new Map<Slab, Sized>();
  readonly #plans = new Set<Plan>();

  /** In the order of their first runs, as buffers are shared in it. */
  constructor(plans: readonly Plan[] = []) {
    for (const plan of plans) this.add(plan);
  }

  /** A plan that is there already runs again in its own buffers. */
  add(plan: Plan): void {
    if (this.#plans.has(plan)) return;
    this.#plans.add(plan);
    allocate(plan, layoutParams(plan.steps), this);
  }

  get total(): number {
    return [...this.slabs.values()].reduce((sum, n) => sum + n, this.transients + this.inputs + this.others);
  }

  create(label: string, bytes: number): Sized {
    const size = bufferBytes(bytes);
    if (label === 'transient') this.transients += size;
    else if (label.startsWith('input ')) this.inputs += size;
    else this.others += size;
    return { size };
  }

  borrow(sizes: readonly number[]): Sized[] {
    return borrowFrom(this.#pool, sizes, (label, bytes) => this.create(label, bytes));
  }

  slab(slab: Slab): Sized {
    let made = this.#slabs.get(slab);
    if (!made) {
      made = { size: bufferBytes(slab.bytes) };
      this.#slabs.set(slab, made);
      this.slabs.set(slab, made.size);
    }
    return made;
  }
}
