// The linear probe of MAE, appendix A.1 (facebookresearch/mae's main_linprobe.py) on kept features: BatchNorm without affine part, then
// a linear layer; only that is trained, by LARS.
import type { Engine } from '../../engine/engine.ts';
import { batchNorm } from '../../engine/ops/batch-norm.ts';
import { classTargets, crossEntropy } from '../../engine/ops/cross-entropy.ts';
import { linear } from '../../engine/ops/linear.ts';
import { Lars } from '../../engine/optim/sgd.ts';
import { Parameters, readVariables } from '../../engine/parameters.ts';
import type { Tensor, Variable } from '../../engine/tensor.ts';
import { Trainer } from '../../engine/trainer.ts';
import type { Trace } from '../../engine/trace.ts';
import { gatherRows } from '../../kernels/gather/gather.ts';
import { random } from '../../kernels/random/random.ts';
import { epochOrder } from '../data/sampler.ts';
import { STREAM } from '../data/streams.ts';
import { learningRate, scaledRate } from '../train/schedule.ts';
import { BATCH_NORM_EPS } from '../weights/probe.ts';
import type { Labelled } from './knn.ts';
import { type Metrics, Tally } from './metrics.ts';

interface ProbeSteps {
  /** Learning rate of 256 images. */
  readonly blr: number;
  readonly batch_size: number;
  readonly epochs: number;
  readonly warmup_epochs: number;
}

export interface ProbeOptions extends ProbeSteps {
  readonly classes: number;
  readonly seed: number;
  readonly progress?: (done: number, epochs: number) => void;
}

/** facebookresearch/mae's, which has 16,384 images a step by many machines. */
export const PROBE_DEFAULTS = { blr: 0.1, batch_size: 512, epochs: 90, warmup_epochs: 10 } as const;

const LARS = { momentum: 0.9, trust: 0.001 } as const;
const BATCH_NORM = { eps: BATCH_NORM_EPS, momentum: 0.1 } as const;
const HEAD_STD = 0.01;

/** Weights by the reference's names: head.0 is the batch norm, head.1 the linear layer. */
export type ProbeHead = ReadonlyMap<string, Float32Array>;

export class LinearProbe {
  readonly #engine: Engine;
  readonly #dim: number;
  readonly #classes: number;
  readonly parameters: Parameters;
  readonly #running: { readonly running_mean: Variable; readonly running_var: Variable };

  /** `begin`: a seed, or weight (classes, dim) and bias (classes) of the linear layer. */
  constructor(engine: Engine, dim: number, classes: number, begin: number | ProbeHead) {
    this.#engine = engine;
    this.#dim = dim;
    this.#classes = classes;
    this.parameters = new Parameters(engine, 'probe', [
      { name: 'head.1.weight', shape: [classes, dim] },
      { name: 'head.1.bias', shape: [classes] },
    ]);
    this.parameters.load(typeof begin === 'number' ? freshHead(dim, classes, begin) : begin);
    this.#running = {
      running_mean: engine.variable('head.0.running_mean', [dim], { data: new Float32Array(dim) }),
      running_var: engine.variable('head.0.running_var', [dim], { data: new Float32Array(dim).fill(1) }),
    };
  }

  /** Logits (rows, classes) of features (rows, dim). */
  forward(x: Tensor, training: boolean): Tensor {
    const { y } = batchNorm({ x, ...this.#running }, { ...BATCH_NORM, training });
    return linear({ x: y, w: this.parameters.get('head.1.weight'), b: this.parameters.get('head.1.bias'), r: null }, {})
      .y;
  }

  /** Trains on views of the same images, one after the other from epoch to epoch; the last, shorter batch of an epoch is left out. */
  async train(views: readonly Float32Array[], labels: Int32Array, options: ProbeOptions): Promise<void> {
    const { epochs, seed, progress } = options;
    const count = labels.length;
    const { batch, steps, rate } = stepsOf(count, options);
    const dim = this.#dim;
    const engine = this.#engine;
    const banks = views.map((x, i) => engine.variable(`probe.view ${i}`, [1, count, dim], { data: x }));
    const optimizer = new Lars(this.parameters, { ...LARS, group: () => ({ weightDecay: 0, lrScale: 1 }) });
    const trainers = banks.map(
      (bank) =>
        new Trainer(engine, {
          inputs: { ids: 'u32', labels: 'i32' },
          optimizer,
          loss: (inputs, t) => this.loss(rowsOf(t, bank, inputs.ids, count, dim), inputs.labels),
        }),
    );
    for (let epoch = 0; epoch < epochs; epoch++) {
      const order = epochOrder(seed, epoch, count);
      for (let step = 0; step < steps; step++) {
        const ids = order.slice(step * batch, (step + 1) * batch);
        const chosen = { data: Int32Array.from(ids, (i) => labels[i]), shape: [batch] };
        await trainers[epoch % trainers.length].step(
          { ids: { data: ids, shape: [batch] }, labels: chosen },
          { lr: rate(epoch, step) },
        );
      }
      await engine.finish();
      progress?.(epoch + 1, epochs);
    }
    for (const bank of banks) engine.release(bank);
  }

  /** Mean cross-entropy (1) of features x (rows, dim) in training. */
  loss(x: Tensor, labels: Tensor): Tensor {
    return crossEntropy(
      { logits: this.forward(x, true), targets: classTargets({ labels }, { classes: this.#classes }) },
      {},
    ).loss;
  }

  async evaluate({ x, labels }: Labelled): Promise<Metrics> {
    const tally = new Tally(this.#classes);
    const program = this.#engine.compile({ x: 'f32' }, (inputs) => ({ logits: this.forward(inputs.x, false) }));
    const size = 1000;
    for (let first = 0; first < labels.length; first += size) {
      const part = x.slice(first * this.#dim, (first + size) * this.#dim);
      const { logits } = await (
        await program.run({ x: { data: part, shape: [part.length / this.#dim, this.#dim] } })
      ).read();
      tally.add(logits, labels.subarray(first, first + size));
    }
    return tally.metrics;
  }

  async read(): Promise<ProbeHead> {
    const running = new Map(Object.values(this.#running).map((v) => [v.name, v]));
    return new Map([...(await readVariables(this.#engine, running)), ...(await this.parameters.read())]);
  }
}

/** How `count` images are trained on: images of a step, steps of an epoch, the rate of each. */
function stepsOf(count: number, { blr, batch_size, epochs, warmup_epochs }: ProbeSteps) {
  const batch = Math.min(batch_size, count);
  const schedule = { lr: scaledRate(blr, batch), min_lr: 0, warmup_epochs, epochs };
  const steps = Math.floor(count / batch);
  const rate = (epoch: number, step: number): number => learningRate(epoch + step / steps, schedule);
  return { batch, steps, rate };
}

/** Of its own length, how far a head has to be able to turn to leave its random beginning; what did best on small sets turned it further. */
const LEAST_TURN = 0.5;

/**
 * What to say of rates that are too small for so few images, whatever the features are worth; null where one is not. LARS moves weights by rate
 * x trust of their length in a step, 1 / (1 - momentum) times that in all: facebookresearch/mae's rate is one for a million images.
 */
export function tooSlow(count: number, blrs: readonly number[], options: Omit<ProbeSteps, 'blr'>): string | null {
  const blr = Math.max(...blrs);
  const { steps, rate } = stepsOf(count, { ...options, blr });
  let sum = 0;
  for (let epoch = 0; epoch < options.epochs; epoch++)
    for (let step = 0; step < steps; step++) sum += rate(epoch, step);
  const turn = (sum * LARS.trust) / (1 - LARS.momentum);
  if (turn >= LEAST_TURN) return null;
  const better = [2, 6, 20].map((x) => Number(((x * LEAST_TURN * blr) / turn).toPrecision(1)));
  const made = `${count} training images, ${steps} step${steps === 1 ? '' : 's'} an epoch, ${options.epochs} epochs`;
  return `the head will hardly learn: ${made} at --blr ${blr} turn it by ${turn.toPrecision(1)} of its length; try --blr ${better} (validation chooses), or more --epochs`;
}

function freshHead(dim: number, classes: number, seed: number): ProbeHead {
  const rng = random(seed, STREAM.head);
  const weight = new Float32Array(classes * dim).map(() => HEAD_STD * rng.normal());
  return new Map([
    ['head.1.weight', weight],
    ['head.1.bias', new Float32Array(classes)],
  ]);
}

/** x[ids] (batch, dim) of a bank (1, count, dim). */
function rowsOf(t: Trace, bank: Variable, ids: Tensor, count: number, dim: number): Tensor {
  const [batch] = ids.shape;
  return t.run(gatherRows, { x: t.use(bank), ids }, { batch: 1, rows: count, count: batch, dim }).y.reshape(batch, dim);
}
