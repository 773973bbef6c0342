// GPU buffers of one engine: transients shared between plans, slabs, and the count that shows a flat line.
import { borrowFrom, type Buffers, bufferBytes, USAGE } from './allocate.ts';
import type { Device } from './device.ts';
import { DeviceLostError, fail } from './errors.ts';
import { checkArray, type HostData, numel, type Slab, type Variable } from './tensor.ts';

export class Memory implements Buffers<GPUBuffer> {
  readonly #device: Device;
  /** On which all of this lies. */
  #gpu: GPUDevice;
  readonly #pool: GPUBuffer[] = [];
  readonly #all = new Set<GPUBuffer>();
  readonly #slabs = new Set<Slab>();
  /** Nothing is made. */
  readonly dry: boolean;
  bytes = 0;

  /** `dry`: makes nothing; what is written is checked and forgotten. */
  constructor(device: Device, dry = false) {
    this.#device = device;
    this.dry = dry;
    this.#gpu = device.gpu;
  }

  /** @throws where the device is another by now: another engine that uses it has reopened it */
  check(): void {
    if (this.#gpu !== this.#device.gpu)
      throw new DeviceLostError('engine: its device was lost and opened again; renew the engine, too');
  }

  get buffers(): number {
    return this.#all.size;
  }

  create(label: string, bytes: number, usage: number): GPUBuffer {
    if (this.dry) fail(`memory: ${label} is asked for, but this engine only plans`);
    this.check();
    const { maxBufferSize, maxStorageBufferBindingSize } = this.#device.gpu.limits;
    const most = usage & USAGE.STORAGE ? Math.min(maxBufferSize, maxStorageBufferBindingSize) : maxBufferSize;
    if (bytes > most) {
      fail(`memory: ${label} needs ${bytes} bytes, this device allows ${most} a buffer; use a smaller batch`);
    }
    const buffer = this.#device.gpu.createBuffer({ label, size: bufferBytes(bytes), usage });
    this.#all.add(buffer);
    this.bytes += buffer.size;
    return buffer;
  }

  /** One buffer for every size, each at least as large; plans run one after the other and so share them. */
  borrow(sizes: readonly number[]): GPUBuffer[] {
    return borrowFrom(this.#pool, sizes, (label, bytes, usage) => this.create(label, bytes, usage));
  }

  /** The slab's buffer, zeroed at first use (WebGPU does that). */
  slab(slab: Slab): GPUBuffer {
    this.check();
    if (slab.gone) fail(`memory: ${slab.label} was released, or lost with its device; make it anew`);
    if (!slab.buffer) {
      slab.buffer = this.create(slab.label, slab.bytes, USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST);
      this.#slabs.add(slab);
    }
    return slab.buffer;
  }

  /** Destroys a slab's buffer; it, and plans that were made with it, must not be used again. */
  release(slab: Slab): void {
    const { buffer } = slab;
    if (!buffer) return;
    buffer.destroy();
    this.#all.delete(buffer);
    this.#slabs.delete(slab);
    this.bytes -= buffer.size;
    slab.buffer = null;
    slab.gone = true;
  }

  write(variable: Variable, data: HostData): void {
    if (data.length !== numel(variable.shape)) {
      fail(`write: ${variable.name} has ${numel(variable.shape)} elements, got ${data.length}`);
    }
    checkArray(`write: ${variable.name}`, variable.dtype, data);
    if (this.dry) return;
    this.#device.gpu.queue.writeBuffer(
      this.slab(variable.slab),
      variable.offset * 4,
      data as Float32Array<ArrayBuffer>,
    );
  }

  /** Copies a buffer's range back to the host. */
  async read(buffer: GPUBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    const { gpu } = this.#device;
    const staging = gpu.createBuffer({ label: 'readback', size: bytes, usage: USAGE.MAP_READ | USAGE.COPY_DST });
    const encoder = gpu.createCommandEncoder({ label: 'readback' });
    encoder.copyBufferToBuffer(buffer, offset, staging, 0, bytes);
    gpu.queue.submit([encoder.finish()]);
    try {
      return await this.#device.bytes(staging);
    } finally {
      staging.destroy();
    }
  }

  /** Destroys everything that this engine made; the device stays, or is another from now on. */
  dispose(): void {
    this.#gpu = this.#device.gpu;
    for (const buffer of this.#all) buffer.destroy();
    for (const slab of this.#slabs) {
      slab.buffer = null;
      slab.gone = true;
    }
    this.#slabs.clear();
    this.#all.clear();
    this.#pool.length = 0;
    this.bytes = 0;
  }
}
