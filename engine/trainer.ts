// A training step of any model: loss, gradients (over one or several micro-batches) and update, as replayed programs.
import type { Engine, InputTypes, Program } from './engine.ts';
import { fail } from './errors.ts';
import type { Optimizer } from './optim/optimizer.ts';
import type { Plan } from './plan.ts';
import type { Look, Results } from './replay.ts';
import type { HostTensor, Shape, Tensor } from './tensor.ts';
import type { Call, Trace } from './trace.ts';

type Tensors<I> = { [N in keyof I]: Tensor };
/** The inputs of one micro-batch, on the host. */
export type Batch<I> = { [N in keyof I]: HostTensor };
/** A batch, or what is called for it when its turn comes (to put data that the loss reads from variables in place). */
export type BatchSource<I> = Batch<I> | (() => Promise<Batch<I>>);

/** What a Trainer trains, and by what. */
export interface TrainerOptions<I extends InputTypes> {
  /** Inputs of the loss with their dtypes. */
  inputs: I;
  optimizer: Optimizer;
  /** The mean loss of a micro-batch, one element. Called once for every combination of input shapes. */
  loss: (inputs: Tensors<I>, trace: Trace) => Tensor;
  /** Names what else `loss` depends on at the moment: it is called once for every name, too. */
  variant?: () => string;
  /** What follows an update in the same program: averages of weights, for example. */
  after?: (trace: Trace) => void;
}

type Outputs = 'loss' | 'norm' | 'skipped';

/**
 * Results of a step: one for every micro-batch, each with the loss and, on the last, the gradient norm where clipping is on, and how many
 * steps were skipped so far where gradients are looked at (Optimizer.skipped).
 */
export type StepResults = readonly Results<Outputs>[];

/** Trains a model of your own: compiles its loss once for every combination of input shapes, and replays it. */
export class Trainer<I extends InputTypes> {
  readonly engine: Engine;
  readonly optimizer: Optimizer;
  readonly #options: TrainerOptions<I>;
  readonly #programs = new Map<string, Program<I, Outputs>>();
  /** Calls that change more than gradients. */
  readonly #updating = new WeakSet<Call>();
  /** One step after the other: one that nobody awaited must not get the learning rate of the next, nor its gradients. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(engine: Engine, options: TrainerOptions<I>) {
    this.engine = engine;
    this.optimizer = options.optimizer;
    this.#options = options;
  }

  /**
   * One update from `batches`, whose gradients are averaged; submits and returns, results can be read later. `weights`, of sum 1, are
   * their parts in the average: for mean losses of unequal batches their sizes over the sum of these. Equal unless said.
   * @throws what a batch's source throws; CapacityError or OutOfMemoryError. Weights and the optimizer's state are then as before the step:
   * they change in its last micro-batch only. Kept gradients are those of the micro-batches that ran.
   * @throws DeviceLostError: all variables are gone (Engine.renew)
   */
  step(
    batches: readonly BatchSource<I>[] | BatchSource<I>,
    options: { lr: number; weights?: readonly number[] },
  ): Promise<StepResults> {
    const done = this.#turn.then(() => this.#step(batches, options));
    this.#turn = done.catch(() => {});
    return done;
  }

  async #step(
    batches: readonly BatchSource<I>[] | BatchSource<I>,
    options: { lr: number; weights?: readonly number[] },
  ): Promise<StepResults> {
    const { lr, weights } = Object(options) as typeof options;
    const list = (Array.isArray(batches) ? batches : [batches]) as readonly BatchSource<I>[];
    if (list.length === 0) fail('step: at least one micro-batch is needed');
    if (weights && weights.length !== list.length)
      fail(`step: ${list.length} micro-batches need as many weights, got ${weights.length}`);
    this.optimizer.setLearningRate(lr);
    const results: Results<Outputs>[] = [];
    for (const [i, source] of list.entries()) {
      const batch = typeof source === 'function' ? await source() : source;
      results.push(await this.#program(i, list.length, weights?.[i]).run(batch));
    }
    return results;
  }

  /**
   * Computes the gradients of a step call by call, without the update; after each call `look` may read what it read and wrote, and ends it by
   * true. The optimizer's kept gradients are lost, and are no gradients if `look` ends it or throws.
   */
  async inspect(batches: readonly BatchSource<I>[], look: Look, weights?: readonly number[]): Promise<void> {
    for (const [i, source] of batches.entries()) {
      const batch = typeof source === 'function' ? await source() : source;
      const program = this.#program(i, batches.length, weights?.[i]);
      let ended = false;
      await program.inspect(batch, async (call, read) => {
        ended = !this.#updating.has(call) && (await look(call, read));
        return ended || this.#updating.has(call);
      });
      if (ended) return;
    }
  }

  /** What the last of `parts` micro-batches of these shapes costs, update included; allocates nothing. */
  plan(shapes: { [N in keyof I]: Shape }, parts = 1): Plan {
    return this.#program(parts - 1, parts).plan(shapes);
  }

  /** What every micro-batch of such a step costs; allocates nothing. */
  plans(batches: readonly { [N in keyof I]: Shape }[], weights?: readonly number[]): Plan[] {
    return batches.map((shapes, i) => this.#program(i, batches.length, weights?.[i]).plan(shapes));
  }

  /** Gradients of the first micro-batch replace the kept ones, later ones are added, the last one updates. */
  #program(index: number, parts: number, weight = 1 / parts): Program<I, Outputs> {
    const first = index === 0;
    const last = index === parts - 1;
    const key = `${first} ${last} ${weight} ${this.#options.variant?.() ?? ''}`;
    let program = this.#programs.get(key);
    if (!program) {
      program = this.engine.compile(this.#options.inputs, (inputs, trace) => {
        const loss = this.#options.loss(inputs, trace);
        const scale = this.optimizer.lossScale?.seed(trace, weight) ?? weight;
        this.optimizer.accumulate(trace, trace.backward(loss, scale), first);
        const before = trace.calls.length;
        const norm = last ? this.optimizer.update(trace) : null;
        if (last) this.#options.after?.(trace);
        for (const call of trace.calls.slice(before)) this.#updating.add(call);
        const { skipped } = this.optimizer;
        const counted = last && skipped ? { skipped: trace.use(skipped) } : {};
        return { loss, ...(norm ? { norm } : {}), ...counted } as Record<Outputs, Tensor>;
      });
      this.#programs.set(key, program);
    }
    return program;
  }
}
