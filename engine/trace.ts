// A recorded step: kernel calls in order, and the nodes that differentiate them. No GPU here.
import type {
  AdapterTraits,
  AnyKernel,
  BindingTypes,
  InputName,
  Kernel,
  KnobValues,
  OutputName,
  ParamTypes,
  Problem,
  Settings,
  Shape,
} from '../kernels/kernel.ts';
import { checkProblem, storedAs } from '../kernels/kernel.ts';
import { elementwiseAdd, elementwiseCopy } from '../kernels/elementwise/elementwise.ts';
import { fail, shapeText } from './errors.ts';
import { ColumnSums } from './column-sums.ts';
import { cast } from './ops/cast.ts';
import { HalfWeights } from './halfweights.ts';
import { canLiveIn } from './inplace.ts';
import { Pairs } from './pairs.ts';
import {
  checkShape,
  type DType,
  dtypeOf,
  type HostData,
  numel,
  Storage,
  Tensor,
  type TensorLike,
  type Variable,
} from './tensor.ts';

/** One dispatch: a kernel, its problem, and a tensor for every binding (null: unused by this problem). */
export interface Call {
  readonly kernel: AnyKernel;
  readonly problem: Settings;
  readonly bindings: Readonly<Record<string, Tensor | null>>;
  readonly writes: readonly string[];
  /** Computed a second time for the backward pass: left out where nothing reads it. */
  readonly again: boolean;
}

/** How products are computed: in f32, or with f16 operands and f32 sums, as torch.autocast does. */
export const PRECISIONS = ['f32', 'f16'] as const;
export type Precision = (typeof PRECISIONS)[number];

/** What `backward` needs of an op that ran. */
interface Node {
  readonly name: string;
  readonly inputs: Readonly<Record<string, Tensor | null>>;
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly pullback: (
    grads: Record<string, Tensor | null>,
    needs: Record<string, boolean>,
  ) => Record<string, Tensor | null>;
}

/** A step while it is recorded. Ops add calls to it; `run` does so for a kernel of yours. */
export class Trace {
  /** What ops may know of the adapter: how far to split a sum, for example. */
  readonly traits: AdapterTraits;
  readonly precision: Precision;
  /** In the order in which they run. */
  readonly calls: Call[] = [];
  /** Which gradients come with their sums over rows. */
  readonly columnSums = new ColumnSums();
  #nodes: Node[] = [];
  #grads = new Map<object, Tensor>();
  #again = false;
  readonly #pairs = new Pairs();
  readonly #halfWeights = new HalfWeights();
  readonly #variables = new Map<Variable, Tensor>();
  readonly #differentiable = new Set<object>();
  #recording = true;

  constructor(traits: AdapterTraits, precision: Precision = 'f32') {
    this.traits = traits;
    this.precision = precision;
  }

  /** Values that every run is given anew. @throws where a size is no whole number above 0 */
  input(name: string, shape: Shape, dtype: DType): Tensor {
    checkShape(`trace: input ${name}`, shape);
    return new Tensor(this, new Storage(dtype, numel(shape), { kind: 'input', name }), shape);
  }

  /** Values that are uploaded once; the dtype is that of the array. @throws where `data` has not numel(shape) elements */
  constant(data: HostData, shape: Shape): Tensor {
    checkShape('trace: constant', shape);
    const dtype = dtypeOf('trace: constant', data);
    if (data.length !== numel(shape))
      fail(`trace: constant ${shapeText(shape)} has ${numel(shape)} elements, its data ${data.length}`);
    return new Tensor(this, new Storage(dtype, data.length, { kind: 'constant', data }), shape);
  }

  /** Uninitialised elements, for kernels that fill a tensor in parts. */
  empty(shape: Shape, dtype: DType = 'f32'): Tensor {
    return new Tensor(this, new Storage(dtype, numel(shape), null), shape);
  }

  /** A variable as a tensor of this trace; always the same one. */
  use(like: TensorLike): Tensor {
    if (like instanceof Tensor) {
      if (like.trace !== this) fail('trace: a tensor of another trace was used; pass it as an input instead');
      return like;
    }
    let tensor = this.#variables.get(like);
    if (!tensor) {
      const home = { kind: 'slab', slab: like.slab, offset: like.offset } as const;
      tensor = new Tensor(this, new Storage(like.dtype, numel(like.shape), home), like.shape);
      this.#variables.set(like, tensor);
      if (like.trainable) this.#differentiable.add(tensor.value);
    }
    return tensor;
  }

  /** Records a kernel call: every read (or updated) binding by name, every parameter; gives the written tensors. */
  run<B extends BindingTypes, P extends ParamTypes, O extends KnobValues, I extends string>(
    kernel: Kernel<B, P, O, I>,
    inputs: { [N in InputName<B, I>]: Tensor | null },
    problem: Problem<P, O>,
  ): { [N in OutputName<B, I>]: Tensor } {
    return this.dispatch(kernel as AnyKernel, inputs, problem) as { [N in OutputName<B, I>]: Tensor };
  }

  /** `run` without its types, for whoever goes through the catalogue. */
  dispatch(
    kernel: AnyKernel,
    given: Readonly<Record<string, Tensor | null>>,
    problem: Settings,
  ): Record<string, Tensor> {
    const full: Settings = { ...kernel.options, ...problem };
    checkProblem(kernel, full);
    const shapes = kernel.shapes(full as never);
    const bindings: Record<string, Tensor | null> = {};
    const outputs: Record<string, Tensor> = {};
    const writes: string[] = [];
    for (const [name, { access }] of Object.entries(kernel.bindings)) {
      const shape = shapes[name];
      const stored = storedAs(kernel, name, full);
      const passed = access === 'read' || kernel.inout.includes(name);
      if (access === 'read_write' && shape) writes.push(name);
      if (!passed) {
        bindings[name] = shape && this.empty(shape, stored);
        if (bindings[name]) outputs[name] = bindings[name];
        continue;
      }
      const tensor = given[name] ?? null;
      if (!shape !== !tensor)
        fail(`${kernel.name}: ${name} must ${shape ? `be ${shapeText(shape)}, none was given` : 'be null here'}`);
      if (tensor && shape) {
        if (numel(tensor.shape) !== numel(shape))
          fail(`${kernel.name}: ${name} must be ${shapeText(shape)}, got ${shapeText(tensor.shape)}`);
        if (tensor.dtype !== stored) fail(`${kernel.name}: ${name} must be ${stored}, got ${tensor.dtype}`);
        this.use(tensor);
      }
      bindings[name] = tensor;
    }
    const call = { kernel, problem: full, bindings, writes, again: this.#again };
    this.calls.push(...this.#pairs.neededBy(call), ...this.#pairs.add(call));
    return outputs;
  }

  /**
   * What a product reads of the weight `like` (out, …): itself, or its f16 copy where the precision is f16 and both of its sizes are
   * multiples of 4 (products of others are computed in f32).
   */
  half(like: TensorLike): Tensor {
    const x = this.use(like);
    return this.precision === 'f32' ? x : this.#halfWeights.of(x, (call) => this.calls.push(call));
  }

  /**
   * fn(x), whose inner values are computed again for the backward pass instead of being kept (Chen et al. 2016): less
   * memory for a second forward pass of all but their last products. The same kernels on the same numbers: the same bits.
   */
  checkpoint(x: Tensor, fn: (x: Tensor) => Tensor): Tensor {
    if (!this.#recording) return fn(x);
    const y = this.noGrad(() => fn(x));
    this.#differentiable.add(y.value);
    const pullback: Node['pullback'] = ({ y: dy }) => {
      const outer = this.#nodes;
      const start = x.alias();
      this.columnSums.pass(x, start);
      this.#differentiable.add(start.value);
      this.#nodes = [];
      this.#again = true;
      const end = fn(start);
      this.#again = false;
      const inner = this.#nodes;
      this.#nodes = outer;
      this.#grads.set(end.value, dy as Tensor);
      this.#pull(inner);
      return { x: this.#grads.get(start.value) ?? null };
    };
    this.#nodes.push({ name: 'checkpoint', inputs: { x }, outputs: { y }, pullback });
    return y;
  }

  /** Remembers how to differentiate an op, where any of its inputs can have a gradient. */
  record(node: Node): void {
    if (!this.#recording) return;
    if (!Object.values(node.inputs).some((t) => t && this.#differentiable.has(t.value))) return;
    this.#nodes.push(node);
    for (const t of Object.values(node.outputs)) this.#differentiable.add(t.value);
  }

  /** Runs `fn` without remembering how to differentiate it. */
  noGrad<T>(fn: () => T): T {
    const before = this.#recording;
    this.#recording = false;
    try {
      return fn();
    } finally {
      this.#recording = before;
    }
  }

  /**
   * scale * d loss / d variable for every trainable variable that the loss depends on. `loss` has one element, as has a
   * scale that is a tensor.
   */
  backward(loss: Tensor, scale: number | Tensor = 1): Map<Variable, Tensor> {
    if (!(loss instanceof Tensor)) fail('backward: loss must be a tensor: of an op one of its outputs, by name');
    if (numel(this.use(loss).shape) !== 1) fail(`backward: loss must have one element, got ${shapeText(loss.shape)}`);
    const seed = typeof scale === 'number' ? this.constant(Float32Array.of(scale), [1]) : scale;
    this.#grads = new Map([[loss.value, seed]]);
    this.calls.push(...this.#pairs.within(() => this.#pull(this.#nodes)));
    const result = new Map<Variable, Tensor>();
    for (const [variable, tensor] of this.#variables) {
      const grad = this.#grads.get(tensor.value);
      if (variable.trainable && grad) result.set(variable, grad.reshape(...variable.shape));
    }
    return result;
  }

  /** From the gradients of the nodes' outputs to those of their inputs, last node first. */
  #pull(nodes: readonly Node[]): void {
    const grads = this.#grads;
    for (const node of [...nodes].reverse()) {
      const douts = Object.fromEntries(Object.entries(node.outputs).map(([k, t]) => [k, grads.get(t.value) ?? null]));
      if (Object.values(douts).every((g) => g === null)) continue;
      const differentiable = (t: Tensor | null) => t !== null && this.#differentiable.has(t.value);
      const needs = Object.fromEntries(Object.entries(node.inputs).map(([k, t]) => [k, differentiable(t)]));
      for (const [name, grad] of Object.entries(node.pullback(douts, needs))) {
        const input = node.inputs[name];
        if (!grad || !input || !needs[name]) continue;
        if (numel(grad.shape) !== numel(input.shape)) {
          fail(`${node.name}: d${name} must be ${shapeText(input.shape)}, got ${shapeText(grad.shape)}`);
        }
        // Ops need not know how their inputs are stored: a gradient is stored as its value is.
        const stored = cast(this, grad, input.dtype);
        const before = grads.get(input.value);
        grads.set(input.value, before ? this.#sum(before, stored) : stored);
      }
    }
  }

  /**
   * Writes `tensor` to a variable: in place of its own buffer where nothing forbids it, else by a copy. From then on read
   * the variable: what is stored there next may change `tensor` too.
   */
  store(variable: Variable, tensor: Tensor): void {
    if (numel(variable.shape) !== numel(tensor.shape)) {
      fail(`store: ${variable.name} is ${shapeText(variable.shape)}, got ${shapeText(tensor.shape)}`);
    }
    if (canLiveIn(variable, tensor.storage, this.calls)) {
      tensor.storage.home = { kind: 'slab', slab: variable.slab, offset: variable.offset };
      return;
    }
    const n = numel(tensor.shape);
    // No dispatch may read and write one buffer: what lives in the variable's own slab goes by way of a transient.
    const { home } = tensor.storage;
    const x =
      home?.kind === 'slab' && home.slab === variable.slab ? this.run(elementwiseCopy, { x: tensor }, { n }).y : tensor;
    this.calls.push({
      kernel: elementwiseCopy as unknown as AnyKernel,
      problem: { n },
      bindings: { x, y: this.use(variable) },
      writes: ['y'],
      again: false,
    });
  }

  #sum(a: Tensor, b: Tensor): Tensor {
    const n = numel(a.shape);
    const [x, y] = [cast(this, a, 'f32'), cast(this, b, 'f32')];
    return cast(this, this.run(elementwiseAdd, { a: x, b: y }, { n }).y.reshape(...a.shape), a.dtype);
  }
}
