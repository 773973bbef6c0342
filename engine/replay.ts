// A plan on the device: every pipeline, buffer and bind group made once, the same dispatches encoded again and again.
import { allocate, layoutParams } from './allocate.ts';
import type { Device } from './device.ts';
import { DeviceHungError, DeviceLostError, fail } from './errors.ts';
import { arraysOf, type Input } from './input.ts';
import type { Memory } from './memory.ts';
import type { Pipelines } from './pipelines.ts';
import type { Plan } from './plan.ts';
import { makeRecorded, type Recorded } from './recorded.ts';
import { recording, type Recorder, runTimed, spanned, spannedNow } from './timings.ts';
import { arrayOf, bytesOf, type HostData, numel, type Storage, type Tensor, unshared } from './tensor.ts';
import type { Call } from './trace.ts';
import { nameOf, type Work } from './watchdog.ts';

interface Dispatch {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly grid: readonly [number, number, number];
  readonly flops: number;
}

/** What a run gives back: read it at any time, now or many runs later. */
export interface Results<K extends string> {
  /** Waits for the step and copies the outputs: f32 as Float32Array, integers as Uint32Array or Int32Array. */
  read(): Promise<Record<K, HostData>>;
}

/** Bytes of a tensor at this point of a run. */
export type Read = (tensor: Tensor) => Promise<ArrayBuffer>;
/** Looks at a call that was just made; true: the run ends here. */
export type Look = (call: Call, read: Read) => Promise<boolean>;

/** Where a storage lies on the device, in bytes from the buffer's beginning. */
export type Place = (storage: Storage) => { buffer: GPUBuffer; offset: number };

/** A submit is ended where its forecast passes this, so that no GPU watchdog (about 2 s) bites: 0.2 s at 1 TFLOP/s. */
const FLOPS_PER_SUBMIT = 2e11;

/** What is submitted beside calls: copies. */
const NOTHING: Work = { steps: [], flops: 0, traffic: 0, first: false };

export class Replay<K extends string> {
  readonly plan: Plan;
  readonly #device: Device;
  readonly #dispatches: Dispatch[];
  readonly #place: Place;
  readonly #inputs: ReadonlyMap<string, GPUBuffer>;
  readonly #slots: { buffer: GPUBuffer; pending: Promise<unknown> | null }[];
  readonly #memory: Memory;
  #next = 0;
  #ran = false;

  private constructor(
    plan: Plan,
    device: Device,
    memory: Memory,
    dispatches: Dispatch[],
    place: Place,
    inputs: ReadonlyMap<string, GPUBuffer>,
    slots: readonly GPUBuffer[],
  ) {
    this.plan = plan;
    this.#device = device;
    this.#memory = memory;
    this.#dispatches = dispatches;
    this.#place = place;
    this.#inputs = inputs;
    this.#slots = slots.map((buffer) => ({ buffer, pending: null }));
  }

  /** @throws OutOfMemoryError, having made nothing */
  static async build<K extends string>(
    plan: Plan,
    device: Device,
    memory: Memory,
    pipelines: Pipelines,
  ): Promise<Replay<K>> {
    const compiled = await spanned('compile', 'compile', () =>
      Promise.all(plan.steps.map(({ call, program }) => pipelines.get(call.kernel.name, program))),
    );
    const params = layoutParams(plan.steps);
    const { dummies, transients, inputs, constants, uniform, staging } = await memory.together(() => {
      return { dummies: memory.dummies, ...allocate(plan, params, memory) };
    });
    for (const [{ home }, buffer] of constants)
      if (home?.kind === 'constant') device.gpu.queue.writeBuffer(buffer, 0, unshared(home.data));
    const place: Place = (storage) => {
      const { home } = storage;
      if (home?.kind === 'slab') return { buffer: memory.slab(home.slab), offset: bytesOf(storage.dtype, home.offset) };
      const lodging = plan.lodgings.get(storage);
      if (lodging) return { buffer: memory.slab(lodging.slab), offset: lodging.offset };
      const buffer =
        home?.kind === 'input' ? inputs.get(home.name) : (transients.get(storage) ?? constants.get(storage));
      return { buffer: buffer ?? fail('plan: a tensor that no call writes is used'), offset: 0 };
    };
    device.gpu.queue.writeBuffer(uniform, 0, params.arena as Uint8Array<ArrayBuffer>);

    const dispatches = plan.steps.map(({ call, program }, i): Dispatch => {
      let unused = 0;
      const entries: GPUBindGroupEntry[] = Object.entries(program.wgsl.bindings).map(([name, b]) => {
        const tensor = call.bindings[name];
        if (!tensor)
          return {
            binding: b.binding,
            resource: { buffer: b.access === 'read' ? dummies.read : dummies.write[unused++] },
          };
        const size = Math.max(4, tensor.bytes);
        return { binding: b.binding, resource: { ...place(tensor.storage), size } };
      });
      const size = program.wgsl.paramsBytes;
      if (size)
        entries.push({
          binding: 0,
          resource: { buffer: uniform, offset: params.offsets[i], size },
        });
      const { pipeline, layout } = compiled[i];
      const group = device.gpu.createBindGroup({ label: call.kernel.name, layout, entries });
      return { pipeline, group, grid: program.grid, flops: call.kernel.flops(call.problem as never) };
    });
    for (const [name, t] of Object.entries(plan.outputs)) arrayOf(`output ${name}`, t.dtype);
    return new Replay<K>(plan, device, memory, dispatches, place, inputs, staging);
  }

  /** For whoever encodes by himself; makes buffers for the outputs. */
  recorded(): Recorded<string, K> {
    const encodeAll = (pass: GPUComputePassEncoder): void => {
      this.#device.check();
      for (const d of this.#dispatches) dispatch(pass, d);
    };
    return makeRecorded(this.plan, this.#memory, this.#place, this.#inputs, encodeAll);
  }

  /** Uploads the inputs and submits the step. Waits only when every staging slot is still in use. */
  async run(inputs: Record<string, Input>): Promise<Results<K>> {
    const recorder = recording();
    if (recorder) return recorder.inTurn(() => this.#run(inputs, recorder));
    const { watchdog } = this.#device;
    return watchdog.run() ? watchdog.inTurn(() => this.#run(inputs, null, true)) : this.#run(inputs, null);
  }

  /** `cautious`: call by call, each waited for. */
  async #run(inputs: Record<string, Input>, recorder: Recorder | null, cautious = false): Promise<Results<K>> {
    this.#memory.check();
    const slot = this.#slots.length ? this.#slots[this.#next++ % this.#slots.length] : null;
    // Only then are the inputs written: a run that nobody awaited must not overwrite those of one that still waits here.
    while (slot?.pending) await slot.pending;
    this.#device.check();
    const { queue } = this.#device.gpu;
    spannedNow('encode', 'upload inputs', () => this.#upload(inputs));
    const staging = slot?.buffer ?? null;
    const first = !this.#ran;
    this.#ran = true;
    const { steps, flops, traffic } = this.plan;
    const done = this.#device.watchdog.begin(cautious ? NOTHING : { steps, flops, traffic, first });
    if (cautious) {
      await this.#oneByOne(first);
      const copies = this.#device.gpu.createCommandEncoder({ label: 'outputs' });
      this.#copyOutputs(copies, staging);
      queue.submit([copies.finish()]);
    } else if (recorder) {
      const dispatches = this.#dispatches.map((d) => (pass: GPUComputePassEncoder) => dispatch(pass, d));
      const copy = (encoder: GPUCommandEncoder) => this.#copyOutputs(encoder, staging);
      await runTimed(recorder, this.#device, this.plan.steps, dispatches, copy);
    } else {
      // One by one: Dawn makes a single submission of what it is given together.
      for (const commands of this.#encode(staging)) queue.submit([commands]);
    }
    if (!slot) return { read: async () => ({}) as never };
    const result = this.#readLater(slot.buffer, done);
    const free = (): void => {
      slot.pending = null;
    };
    slot.pending = result.then(free, free);
    return { read: () => result };
  }

  /** Runs call by call until `look` says that it is enough. What nothing has written yet is 0 and not what an earlier run left. */
  async inspect(inputs: Record<string, Input>, look: Look): Promise<void> {
    this.#device.check();
    this.#upload(inputs);
    const { gpu } = this.#device;
    const clear = gpu.createCommandEncoder({ label: 'clear' });
    const transients = this.plan.rooms.flatMap(({ tenants }) => tenants.slice(0, 1));
    for (const storage of transients) clear.clearBuffer(this.#place(storage).buffer);
    for (const { slab, offset, bytes } of this.plan.lodgings.values())
      clear.clearBuffer(this.#memory.slab(slab), offset, Math.ceil(bytes / 4) * 4);
    gpu.queue.submit([clear.finish()]);
    const read: Read = ({ storage, bytes }) => {
      const { buffer, offset } = this.#place(storage);
      return this.#memory.read(buffer, offset, Math.ceil(bytes / 4) * 4);
    };
    for (const [i, d] of this.#dispatches.entries()) {
      this.#submit(d);
      if (await look(this.plan.steps[i].call, read)) return;
    }
  }

  /** So that whatever goes wrong, goes wrong at a call that has a name. */
  async #oneByOne(first: boolean): Promise<void> {
    const { gpu, watchdog } = this.#device;
    for (const [i, d] of this.#dispatches.entries()) {
      const step = this.plan.steps[i];
      const bytes = Object.values(step.call.bindings).reduce((sum, t) => sum + (t?.bytes ?? 0), 0);
      const done = watchdog.begin({ steps: [step], flops: d.flops, traffic: bytes, first });
      this.#submit(d);
      try {
        await this.#device.wait(gpu.queue.onSubmittedWorkDone());
        this.#device.check();
      } catch (error) {
        if (error instanceof DeviceHungError || !(error instanceof DeviceLostError)) throw error;
        throw new DeviceLostError(`${error.message.trim()}, at ${nameOf(step)}`);
      }
      done();
    }
  }

  #submit(d: Dispatch): void {
    const encoder = this.#device.gpu.createCommandEncoder({ label: 'call' });
    const pass = encoder.beginComputePass({ label: 'call' });
    dispatch(pass, d);
    pass.end();
    this.#device.gpu.queue.submit([encoder.finish()]);
  }

  #upload(inputs: Record<string, Input>): void {
    for (const [name, buffer] of this.#inputs) {
      let offset = 0;
      for (const data of arraysOf(inputs[name] ?? fail(`run: input ${name} is missing`))) {
        this.#device.gpu.queue.writeBuffer(buffer, offset, unshared(data));
        offset += data.byteLength;
      }
    }
  }

  /** One compute pass as a rule; several submits only where the forecast is long and the device has a watchdog. */
  #encode(staging: GPUBuffer | null): GPUCommandBuffer[] {
    const { gpu, adapter } = this.#device;
    const commands: GPUCommandBuffer[] = [];
    let encoder = gpu.createCommandEncoder({ label: 'step' });
    let pass = encoder.beginComputePass({ label: 'step' });
    let flops = 0;
    for (const d of this.#dispatches) {
      if (!adapter.software && flops > 0 && flops + d.flops > FLOPS_PER_SUBMIT) {
        pass.end();
        commands.push(encoder.finish());
        encoder = gpu.createCommandEncoder({ label: 'step' });
        pass = encoder.beginComputePass({ label: 'step' });
        flops = 0;
      }
      flops += d.flops;
      dispatch(pass, d);
    }
    pass.end();
    this.#copyOutputs(encoder, staging);
    commands.push(encoder.finish());
    return commands;
  }

  #copyOutputs(encoder: GPUCommandEncoder, staging: GPUBuffer | null): void {
    let at = 0;
    for (const t of staging ? Object.values(this.plan.outputs) : []) {
      const { buffer, offset } = this.#place(t.storage);
      encoder.copyBufferToBuffer(buffer, offset, staging as GPUBuffer, at, t.bytes);
      at += t.bytes;
    }
  }

  async #readLater(buffer: GPUBuffer, done: () => void): Promise<Record<K, HostData>> {
    const copy = await spanned('wait', 'wait for results', () => this.#device.bytes(buffer)).catch((error) => {
      this.#memory.check(); // what was disposed of meanwhile is the reason
      throw error;
    });
    done();
    buffer.unmap();
    let at = 0;
    const result: Record<string, HostData> = {};
    for (const [name, t] of Object.entries(this.plan.outputs)) {
      const n = numel(t.shape);
      result[name] = new (arrayOf(name, t.dtype))(copy, at, n);
      at += n * 4;
    }
    return result as Record<K, HostData>;
  }
}

function dispatch(pass: GPUComputePassEncoder, { pipeline, group, grid }: Dispatch): void {
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
}
