// Autotune: every distinct heavy call of a plan timed with each of the settings that its variant offers, on the device.
import type { KnobValues } from '../kernels/kernel.ts';
import { offers, type Picks } from '../kernels/picks.ts';
import type { Device } from './device.ts';
import { Engine } from './engine.ts';
import { madeUp } from './madeup.ts';
import type { MeasuredPick } from './picks.ts';
import type { Plan, Step } from './plan.ts';
import type { Tensor } from './tensor.ts';

/** A shape class of a plan that settings can be picked for. */
export interface Tunable {
  readonly shapeClass: string;
  /** Its first call, and how many there are. */
  readonly step: Step;
  readonly calls: number;
  /** What the variant offers; first its own choice. */
  readonly offers: readonly KnobValues[];
}

/** A sample repeats a call so long: the grain of waiting is about a millisecond on software adapters, less on others, whose times hardly differ. */
const [SAMPLE_MS, GPU_SAMPLE_MS] = [30, 8];
const MOST_REPEATS = 400;
/** What took so many times the best one's time at first is not measured further. */
const HOPELESS = 1.4;
/** What wins by less is taken for chance, and the variant's own choice stays. */
const LEAST_GAIN = 0.03;

/** The calls of plans whose settings can be measured, each class of shapes once; first what computes most. */
export function tunables(plan: Plan, device: Device): Tunable[] {
  const found = new Map<string, Tunable>();
  for (const step of plan.steps) {
    const { call, program } = step;
    const { shapeClass, variant } = program;
    const before = found.get(shapeClass);
    if (before) found.set(shapeClass, { ...before, calls: before.calls + 1 });
    else {
      const asked = { ...variant.wgsl.knobs, ...call.kernel.options, ...call.problem };
      found.set(shapeClass, { shapeClass, step, calls: 1, offers: offers(variant, asked, device.traits) });
    }
  }
  const flops = ({ step, calls }: Tunable): number => {
    const { kernel, problem } = step.call;
    return calls * kernel.flops({ ...kernel.options, ...problem } as never);
  };
  return [...found.values()].filter((t) => t.offers.length > 1).sort((a, b) => flops(b) - flops(a));
}

/**
 * The fastest of what is offered for a shape class, by medians over rounds in which all take turns. Who seems to win has
 * to win a second time, against the variant's own choice alone: the least of many noisy medians is no proof.
 */
export async function tune(device: Device, { shapeClass, step, offers }: Tunable, rounds = 5): Promise<MeasuredPick> {
  using engine = new Engine(device);
  const inputs = await inputsOf(engine, step);
  const contestants = offers.map((knobs) => new Contestant(engine, step, inputs, new Map([[shapeClass, knobs]])));
  // Drivers of cards compile a program on one core, and take longer for it than for all its samples.
  if (!device.adapter.software) await Promise.all(contestants.map((c) => c.sample()));
  for (const c of contestants) await c.prepare();
  const least = Math.min(...contestants.map((c) => c.ms));
  const first = contestants.filter((c, i) => i === 0 || c.ms <= HOPELESS * least);
  await compete(first, rounds);
  const own = contestants[0];
  const winner = first.reduce((a, b) => (b.ms < a.ms ? b : a));
  if (winner !== own) await compete([own, winner], rounds);
  const best = winner.ms < (1 - LEAST_GAIN) * own.ms ? winner : own;
  return { knobs: offers[contestants.indexOf(best)], own: rounded(own.ms), best: rounded(best.ms) };
}

const rounded = (ms: number): number => Number(ms.toPrecision(4));

async function compete(contestants: readonly Contestant[], rounds: number): Promise<void> {
  const measured = contestants.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, c] of contestants.entries()) measured[i].push(await c.sample());
  }
  for (const [i, c] of contestants.entries()) c.ms = measured[i].sort((a, b) => a - b)[rounds >> 1];
}

/** One call with one choice of settings. */
class Contestant {
  /** Of one call: the median of the last competition. */
  ms = 0;
  readonly #engine: Engine;
  readonly #record: (times: number) => () => Promise<unknown>;
  #times = 1;
  #run: () => Promise<unknown>;

  constructor(engine: Engine, { call }: Step, inputs: Inputs, picks: Picks) {
    this.#engine = engine;
    this.#record = (times) => {
      const program = engine.compile({}, (_, t) => {
        for (let i = 0; i < times; i++) {
          const given = Object.entries(inputs).map(([name, v]) => [name, v && t.use(v)]);
          t.dispatch(call.kernel, Object.fromEntries(given), call.problem);
        }
        return {} as Record<never, Tensor>;
      });
      engine.picks = picks;
      program.plan({}); // made here, and so with these picks
      return () => program.run({});
    };
    this.#run = this.#record(1);
  }

  /** Compiles, and finds how often to repeat the call. */
  async prepare(): Promise<void> {
    await this.sample();
    this.ms = Math.min(await this.sample(), await this.sample());
    const wanted = this.#engine.device.adapter.software ? SAMPLE_MS : GPU_SAMPLE_MS;
    this.#times = Math.min(MOST_REPEATS, Math.ceil(wanted / Math.max(this.ms, 0.01)));
    if (this.#times === 1) return;
    this.#run = this.#record(this.#times);
    await this.sample();
    this.ms = await this.sample();
  }

  /** Milliseconds of a call. */
  async sample(): Promise<number> {
    const began = performance.now();
    await this.#run();
    await this.#engine.finish();
    return (performance.now() - began) / this.#times;
  }
}

type Inputs = Awaited<ReturnType<typeof inputsOf>>;

/** A variable for every binding that the call reads or updates. */
async function inputsOf(engine: Engine, { call }: Step) {
  const { kernel, bindings } = call;
  const passed = Object.entries(bindings).filter(
    ([name, t]) => t && (kernel.bindings[name].access === 'read' || kernel.inout.includes(name)),
  ) as [string, Tensor][];
  const variables = await madeUp(
    engine,
    passed.map(([name, t]) => ({ name, shape: t.shape, dtype: t.dtype })),
  );
  return Object.fromEntries(Object.keys(bindings).map((name) => [name, variables.get(name) ?? null]));
}
