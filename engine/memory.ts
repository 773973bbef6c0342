// GPU buffers of one engine: transients shared between plans, slabs, and the count that shows a flat line.
import { borrowFrom, type Buffers, bufferBytes, USAGE } from './allocate.ts';
import type { Device } from './device.ts';
import { CapacityError, DeviceLostError, fail, OutOfMemoryError, TesseraeError } from './errors.ts';
import { checkArray, type HostData, numel, type Slab, unshared, type Variable } from './tensor.ts';

/** Buffers for bindings that a problem does not use; two writable ones of a dispatch must differ. */
interface Dummies {
  readonly read: GPUBuffer;
  readonly write: readonly GPUBuffer[];
}

/** Writable bindings that a dispatch may leave unused: reduce.columns has five beside its one sum of one tensor. */
const MOST_UNUSED = 5;

interface Made {
  readonly buffer: GPUBuffer;
  readonly slab: Slab | null;
  /** Why the buffer is none; null where it is one. */
  readonly lack: Promise<OutOfMemoryError | null>;
  written: boolean;
}

/** Makes, lends, writes, reads and counts the buffers of one engine. */
export class Memory implements Buffers<GPUBuffer> {
  readonly #device: Device;
  /** On which all of this lies. */
  #gpu: GPUDevice;
  #pool: GPUBuffer[] = [];
  readonly #all = new Set<GPUBuffer>();
  readonly #slabs = new Set<Slab>();
  /** Buffers that the device has not yet said it has room for. */
  readonly #unsettled = new Map<GPUBuffer, Made>();
  #making: Made[] | null = null;
  #dummies: GPUBuffer[] = [];
  #turn: Promise<unknown> = Promise.resolve();
  /** Nothing is made. */
  readonly dry: boolean;
  bytes = 0;
  #disposed = false;

  /** `dry`: makes nothing; what is written is checked and forgotten. */
  constructor(device: Device, dry = false) {
    this.#device = device;
    this.dry = dry;
    this.#gpu = device.gpu;
  }

  /** @throws after `dispose`, and where the device is another by now: another engine that uses it has reopened it */
  check(): void {
    if (this.#disposed) fail('engine: it was disposed of; make a new one');
    if (this.#gpu !== this.#device.gpu)
      throw new DeviceLostError('engine: its device was lost and opened again; renew the engine, too');
  }

  get buffers(): number {
    return this.#all.size;
  }

  /**
   * A buffer of at least so many bytes, which are 0; whether there is room is known later, and whatever waits for it then ends with an
   * OutOfMemoryError.
   * @throws CapacityError where the device allows no buffer so large, OutOfMemoryError where it refuses at once
   */
  create(label: string, bytes: number, usage: number, slab: Slab | null = null): GPUBuffer {
    if (this.dry) fail(`memory: ${label} is asked for, but this engine only plans`);
    this.check();
    const { maxBufferSize, maxStorageBufferBindingSize } = this.#gpu.limits;
    const most = usage & USAGE.STORAGE ? Math.min(maxBufferSize, maxStorageBufferBindingSize) : maxBufferSize;
    if (bytes > most) {
      const much = `memory: ${label} needs ${bytes} bytes, this device allows ${most} a buffer`;
      throw new CapacityError(`${much}; use a smaller batch`);
    }
    const held = this.bytes;
    this.#gpu.pushErrorScope('out-of-memory');
    const { buffer, refused } = this.#ask({ label, size: bufferBytes(bytes), usage });
    const popped = this.#gpu.popErrorScope().catch(() => null); // of a lost device, which is told elsewhere
    if (!buffer) throw new OutOfMemoryError(label, bytes, held, refused);
    this.#all.add(buffer);
    this.bytes += buffer.size;
    const lack = popped.then((error) => error && new OutOfMemoryError(label, bytes, held, error.message));
    const made: Made = { buffer, slab, lack, written: false };
    this.#unsettled.set(buffer, made);
    if (this.#making) this.#making.push(made);
    else void lack.then((error) => (error ? this.#undo(made, error) : this.#unsettled.delete(buffer)));
    return buffer;
  }

  #ask(descriptor: GPUBufferDescriptor): { buffer: GPUBuffer | null; refused: string } {
    try {
      return { buffer: this.#gpu.createBuffer(descriptor), refused: '' };
    } catch (error) {
      return { buffer: null, refused: (error as Error).message };
    }
  }

  /** The buffer goes; what was written to it is lost. */
  #undo({ buffer, slab, written }: Made, error: TesseraeError): void {
    this.#unsettled.delete(buffer);
    if (!this.#all.delete(buffer)) return;
    buffer.destroy();
    this.bytes -= buffer.size;
    this.#pool = this.#pool.filter((b) => b !== buffer);
    if (this.#dummies.includes(buffer)) this.#dummies = [];
    if (!slab) return;
    this.#slabs.delete(slab);
    slab.buffer = null;
    if (written) slab.gone = error;
  }

  /**
   * All that `make` creates, or nothing: where the device has no room for a part of it the rest is given back.
   * @throws OutOfMemoryError
   */
  together<T>(make: () => T): Promise<T> {
    // In turn: a buffer that one lends to the other must not go with it.
    const done = this.#turn.then(() => this.#together(make));
    this.#turn = done.catch(() => {});
    return done;
  }

  async #together<T>(make: () => T): Promise<T> {
    // A variable without room must say so before a plan is made of it.
    await this.#device.wait(Promise.all([...this.#unsettled.values()].map(({ lack }) => lack)));
    const list: Made[] = [];
    this.#making = list;
    let [result, error]: [T | null, TesseraeError | null] = [null, null];
    try {
      result = make();
    } catch (thrown) {
      error = thrown as TesseraeError;
    } finally {
      this.#making = null;
    }
    for (const { lack } of list) error = (await this.#device.wait(lack)) ?? error;
    for (const made of list) {
      if (error) this.#undo(made, error);
      else this.#unsettled.delete(made.buffer);
    }
    if (error) throw error;
    return result as T;
  }

  /** One buffer for every size, each at least as large; plans run one after the other and so share them. */
  borrow(sizes: readonly number[]): GPUBuffer[] {
    return borrowFrom(this.#pool, sizes, (label, bytes, usage) => this.create(label, bytes, usage));
  }

  get dummies(): Dummies {
    if (!this.#dummies.length)
      this.#dummies = Array.from({ length: 1 + MOST_UNUSED }, (_, i) => this.create(`unused ${i}`, 16, USAGE.STORAGE));
    const [read, ...write] = this.#dummies;
    return { read, write };
  }

  /** The slab's buffer, zeroed at first use (WebGPU does that). */
  slab(slab: Slab): GPUBuffer {
    this.check();
    if (slab.gone) throw slab.gone;
    if (slab.buffer && !this.#slabs.has(slab))
      fail(
        `memory: ${slab.label} is of another engine: make what uses it on that one, or write its values to a variable of this one`,
      );
    if (!slab.buffer) {
      slab.buffer = this.create(slab.label, slab.bytes, USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST, slab);
      this.#slabs.add(slab);
    }
    return slab.buffer;
  }

  /** Destroys a slab's buffer; it, and plans that were made with it, must not be used again. */
  release(slab: Slab): void {
    const { buffer } = slab;
    if (!buffer || !this.#slabs.has(slab)) return;
    buffer.destroy();
    this.#all.delete(buffer);
    this.#slabs.delete(slab);
    this.bytes -= buffer.size;
    slab.buffer = null;
    slab.gone = gone(slab);
  }

  /** @throws where the length or the kind of array is not the variable's */
  write(variable: Variable, data: HostData): void {
    checkArray(`write: ${variable.name}`, variable.dtype, data);
    if (data.length !== numel(variable.shape)) {
      fail(`write: ${variable.name} has ${numel(variable.shape)} elements, got ${data.length}`);
    }
    if (this.dry) return;
    const buffer = this.slab(variable.slab);
    const put = (): void => this.#gpu.queue.writeBuffer(buffer, variable.offset * 4, unshared(data));
    const made = this.#unsettled.get(buffer);
    if (!made) {
      put();
      return;
    }
    // Where there was no room for the buffer, writing to it is an error that says less.
    made.written = true;
    this.#gpu.pushErrorScope('validation');
    put();
    const told = async (error: GPUError | null): Promise<void> => {
      if (error && !(await made.lack)) this.#device.fault(new TesseraeError(`GPU error: ${error.message}`));
    };
    void this.#gpu.popErrorScope().then(told, () => {});
  }

  /** Copies a buffer's range back to the host. */
  async read(buffer: GPUBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    const gpu = this.#gpu;
    const held = this.bytes;
    gpu.pushErrorScope('validation');
    gpu.pushErrorScope('out-of-memory');
    const { buffer: staging, refused } = this.#ask({
      label: 'readback',
      size: bytes,
      usage: USAGE.MAP_READ | USAGE.COPY_DST,
    });
    if (staging) {
      const encoder = gpu.createCommandEncoder({ label: 'readback' });
      encoder.copyBufferToBuffer(buffer, offset, staging, 0, bytes);
      gpu.queue.submit([encoder.finish()]);
    }
    const errors = [gpu.popErrorScope(), gpu.popErrorScope()].map((popped) => popped.catch(() => null));
    try {
      const [lack, wrong] = await this.#device.wait(Promise.all(errors));
      if (!staging || lack) throw new OutOfMemoryError('what is read back', bytes, held, lack?.message ?? refused);
      const unsettled = await this.#unsettled.get(buffer)?.lack;
      if (unsettled) throw unsettled;
      if (wrong) fail(`GPU error: ${wrong.message}`);
      return await this.#device.bytes(staging);
    } finally {
      staging?.destroy();
    }
  }

  /** Destroys everything that this engine made, for good; the device stays. */
  dispose(): void {
    this.clear();
    this.#disposed = true;
  }

  /** Destroys everything that this engine made; the device is another from now on. */
  clear(): void {
    this.#gpu = this.#device.gpu;
    for (const buffer of this.#all) buffer.destroy();
    this.#unsettled.clear();
    for (const slab of this.#slabs) {
      slab.buffer = null;
      slab.gone = gone(slab);
    }
    this.#slabs.clear();
    this.#all.clear();
    this.#pool = [];
    this.#dummies = [];
    this.bytes = 0;
  }
}

const gone = ({ label }: Slab): TesseraeError =>
  new TesseraeError(`memory: ${label} was released, or lost with its device; make it anew`);
