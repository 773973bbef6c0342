// The engine on one device: compiles functions of tensors into replayed programs and keeps variables.
import type { AdapterTraits } from '../kernels/kernel.ts';
import type { Picks } from '../kernels/picks.ts';
import type { Device } from './device.ts';
import { DeviceLostError, fail, shapeText } from './errors.ts';
import { Memory } from './memory.ts';
import { Pipelines } from './pipelines.ts';
import { makePlan, type Plan } from './plan.ts';
import type { Recorded } from './recorded.ts';
import { checkInput, type Input } from './input.ts';
import { type Look, Replay, type Results } from './replay.ts';
import {
  arrayOf,
  checkShape,
  type DType,
  type HostData,
  kindOf,
  numel,
  type Shape,
  Slab,
  Tensor,
  Variable,
} from './tensor.ts';
import { spanned } from './timings.ts';
import { type Precision, Trace } from './trace.ts';

/** The inputs of a program, by name. */
export type InputTypes = Record<string, DType>;
type Tensors<I> = { [N in keyof I]: Tensor };
type Inputs<I> = { [N in keyof I]: Input };
type Shapes<I> = { [N in keyof I]: Shape };

const DTYPES: readonly DType[] = ['f32', 'f16', 'u32', 'i32'];

function checkDType(what: string, dtype: DType): void {
  if (!DTYPES.includes(dtype)) fail(`${what} is ${dtype}, it must be one of ${DTYPES.join(', ')}`);
}

/** @throws where a traced function gave something else than its outputs by name */
function checkOutputs(outputs: unknown, trace: Trace): void {
  const form = 'compile: the function must return its outputs by name, as { y }';
  if (outputs instanceof Promise) fail(`${form}; it may not be async: it records, and nothing is computed yet`);
  if (Object(outputs) !== outputs || outputs instanceof Tensor) fail(`${form}, got ${kindOf(outputs)}`);
  for (const [name, t] of Object.entries(outputs as object)) {
    if (!(t instanceof Tensor)) fail(`compile: output ${name} must be a tensor, got ${kindOf(t)}`);
    trace.use(t);
  }
}

/** A run: once awaited it is submitted, and its results can be read at any time; `read` of it waits for both. */
export type Running<K extends string> = Promise<Results<K>> & Results<K>;

/** A function of tensors, planned once for every combination of input shapes and replayed after that. */
export interface Program<I extends InputTypes, K extends string> {
  /** What a run at these shapes will cost; allocates nothing. */
  plan(shapes: Shapes<I>): Plan;
  /** The recorded calls at these shapes, for the reference interpreter and for printing. */
  trace(shapes: Shapes<I>): { trace: Trace; outputs: Record<K, Tensor> };
  /** Uploads the inputs, submits, and gives what can be read back now or later. */
  run(inputs: Inputs<I>): Running<K>;
  /**
   * Compiles and allocates for these shapes, and leaves encoding and submitting to the caller: for a frame loop, where
   * results stay in GPUBuffers. Variables must have been written before.
   */
  record(shapes: Shapes<I>): Promise<Recorded<keyof I & string, K>>;
  /** Runs call by call, slowly; `look` can read after each what it read and wrote. Gradients that are kept by an optimizer are right at its end only. */
  inspect(inputs: Inputs<I>, look: Look): Promise<void>;
}

/**
 * Compiles functions of tensors for one device and keeps variables there. Has no global state; `using` disposes of
 * it.
 */
export class Engine {
  /** Where everything runs; it may be shared with other engines. */
  readonly device: Device;
  /** How products are computed: f32, or f16 operands with f32 sums. */
  readonly precision: Precision;
  /** Measured settings that plans made from here on use (kernels/picks.ts); at first the device's. */
  picks: Picks;
  /** All buffers of this engine, counted. */
  readonly memory: Memory;
  #pipelines!: Pipelines;
  #groups = 0;
  /** Of how many devices this is the engine's: programs of one do not run on the next. */
  #generation = 0;

  /**
   * `precision` holds for every program; f16 where the device's profile is matrix, which has no other, else f32. With `planOnly` nothing is
   * made on the device: programs can be planned, of models of any size, and not be run.
   */
  constructor(device: Device, { precision, planOnly = false }: { precision?: Precision; planOnly?: boolean } = {}) {
    if (!device?.traits)
      fail('engine: give it a Device, which openDevice(navigator.gpu) or useDevice(gpuDevice) makes');
    const { profile } = device.traits;
    this.precision = precision ?? (profile === 'matrix' ? 'f16' : 'f32');
    if (profile === 'matrix' && precision === 'f32')
      fail('engine: profile matrix multiplies f16 only: leave precision f32 out, or choose another profile');
    this.device = device;
    this.picks = device.picks;
    this.memory = new Memory(device, planOnly);
    this.#begin();
  }

  #begin(): void {
    this.#generation++;
    this.#groups = 0;
    this.#pipelines = new Pipelines(this.device);
  }

  async #build<K extends string>(plan: Plan): Promise<Replay<K>> {
    const replay = await Replay.build<K>(plan, this.device, this.memory, this.#pipelines);
    this.#groups += plan.dispatches;
    return replay;
  }

  /**
   * After a DeviceLostError: begins anew on a device like the one that was lost. Variables and programs that were made before are gone and
   * refuse to be used; what they held has to be written to new ones. `cautious`: as Device.reopen.
   */
  async renew({ cautious = false } = {}): Promise<void> {
    await this.device.reopen(cautious);
    this.memory.clear();
    this.#begin();
  }

  get #traits(): AdapterTraits {
    return { ...this.device.traits, picks: this.picks };
  }

  /** What has been made on the device so far: flat from the third step of a shape on. */
  get stats(): { bytes: number; buffers: number; pipelines: number; bindGroups: number } {
    const { bytes, buffers } = this.memory;
    return { bytes, buffers, pipelines: this.#pipelines.count, bindGroups: this.#groups };
  }

  /** A variable in a slab of its own; `data` is written at once. */
  variable(
    name: string,
    shape: Shape,
    options: { dtype?: DType; data?: HostData; trainable?: boolean } = {},
  ): Variable {
    const { dtype = 'f32', data, trainable = false } = options;
    checkShape(`variable: ${name}`, shape);
    checkDType(`variable: ${name}`, dtype);
    const variable = new Variable(name, shape, new Slab(name, dtype, numel(shape)), 0, trainable);
    if (data) this.memory.write(variable, data);
    return variable;
  }

  /**
   * Uploads all elements of a variable, in the order of its shape; runs that are submitted later see them.
   * @throws where `data` has another length, or is not the typed array of the variable's dtype
   */
  write(variable: Variable, data: HostData): void {
    this.memory.write(variable, data);
  }

  /** Frees a variable made by `variable`; programs that use it must not run again. */
  release({ slab }: Variable): void {
    this.memory.release(slab);
  }

  /**
   * Waits for what was submitted, and copies a variable to the host: numel(shape) elements, f32 as Float32Array, integers as Uint32Array or
   * Int32Array.
   * @throws DeviceLostError; f16 stays on the device
   */
  async read(variable: Variable): Promise<HostData> {
    const raw = await this.memory.read(this.memory.slab(variable.slab), variable.offset * 4, numel(variable.shape) * 4);
    return new (arrayOf(`read: ${variable.name}`, variable.dtype))(raw);
  }

  /**
   * Makes a program of `fn`, which is called once for every new combination of input shapes to record its ops.
   * The tensors that it returns are what `run` can read back.
   */
  compile<I extends InputTypes, K extends string>(
    types: I,
    fn: (inputs: Tensors<I>, trace: Trace) => Record<K, Tensor>,
  ): Program<I, K> {
    for (const [name, dtype] of Object.entries(types)) checkDType(`compile: input ${name}`, dtype);
    const generation = this.#generation;
    const plans = new Map<string, Plan>();
    const replays = new Map<string, Promise<Replay<K>>>();
    const names = Object.keys(types);
    const shapeOf = (shapes: Shapes<I>, name: string): Shape => {
      if (Object(shapes) !== shapes) fail(`plan: shapes are given by name: ${names.join(', ')}`);
      const shape = shapes[name] ?? fail(`plan: the shape of input ${name} is missing`);
      checkShape(`plan: input ${name}`, shape);
      return shape;
    };
    const trace = (shapes: Shapes<I>): { trace: Trace; outputs: Record<K, Tensor> } => {
      const recorded = new Trace(this.#traits, this.precision);
      const entries = names.map((name) => [name, recorded.input(name, shapeOf(shapes, name), types[name])]);
      const outputs = fn(Object.fromEntries(entries) as Tensors<I>, recorded);
      checkOutputs(outputs, recorded);
      return { trace: recorded, outputs };
    };
    const keyOf = (shapes: Shapes<I>): string => names.map((name) => shapeText(shapeOf(shapes, name))).join();
    const plan = (shapes: Shapes<I>): Plan => {
      const key = keyOf(shapes);
      let made = plans.get(key);
      if (!made) {
        const { trace: recorded, outputs } = trace(shapes);
        plans.set(key, (made = makePlan(recorded, outputs, this.#traits)));
      }
      return made;
    };
    const replayOf = async (shapes: Shapes<I>): Promise<Replay<K>> => {
      this.memory.check();
      if (generation !== this.#generation)
        throw new DeviceLostError('run: this program was made on a device that was lost; compile it again');
      const key = keyOf(shapes);
      let replay = replays.get(key);
      if (!replay) {
        if (this.memory.dry) fail('run: this engine only plans');
        const made = plan(shapes);
        replay = this.#build<K>(made);
        replays.set(key, replay);
        // Where there was no room there may be some later.
        replay.catch(() => replays.delete(key));
      }
      return replay;
    };
    const replayFor = (inputs: Inputs<I>): Promise<Replay<K>> => {
      if (names.length && Object(inputs) !== inputs) fail(`run: inputs are given by name: ${names.join(', ')}`);
      const shapes = names.map((name) => [name, checkInput(name, types[name], inputs[name]).shape]);
      return replayOf(Object.fromEntries(shapes) as Shapes<I>);
    };
    const submit = async (inputs: Inputs<I>): Promise<Results<K>> => (await replayFor(inputs)).run(inputs);
    const run = (inputs: Inputs<I>): Running<K> => {
      const submitted = submit(inputs);
      return Object.assign(submitted, { read: async () => (await submitted).read() });
    };
    const inspect = async (inputs: Inputs<I>, look: Look) => (await replayFor(inputs)).inspect(inputs, look);
    const records = new Map<string, Promise<Recorded<keyof I & string, K>>>();
    const record = async (shapes: Shapes<I>): Promise<Recorded<keyof I & string, K>> => {
      const key = keyOf(shapes);
      let made = records.get(key);
      if (!made) {
        made = replayOf(shapes).then((replay) => this.memory.together(() => replay.recorded()));
        records.set(key, made);
        made.catch(() => records.delete(key));
      }
      return made;
    };
    return { plan, trace, run, inspect, record };
  }

  /** Waits until the device has done all that was submitted. */
  async finish(): Promise<void> {
    const { device } = this;
    const done = device.watchdog.until();
    await spanned('wait', 'wait for the device', () => device.wait(device.gpu.queue.onSubmittedWorkDone()));
    done();
    device.check();
  }

  /** Destroys every buffer that the engine made; the device stays. What was compiled here must not run again, and says so. */
  dispose(): void {
    this.memory.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
