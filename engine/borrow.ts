// One kernel for someone else's command encoder: compiled, its parameters packed, bound to buffers that are not ours.
import type {
  AnyKernel,
  BindingTypes,
  Grid,
  Kernel,
  KnobValues,
  ParamTypes,
  Problem,
  Settings,
  Shape,
} from '../kernels/kernel.ts';
import { storedAs } from '../kernels/kernel.ts';
import { packParams, resolve } from '../kernels/restate.ts';
import type { Device } from './device.ts';
import { CapacityError, fail, shapeText } from './errors.ts';
import { USAGE } from './allocate.ts';
import { Pipelines } from './pipelines.ts';
import { bytesOf, numel } from './tensor.ts';

/** A buffer, or a range of one that starts at a multiple of the device's minStorageBufferOffsetAlignment: 256 bytes, unless it was made with less. */
export type Bound = GPUBuffer | { readonly buffer: GPUBuffer; readonly offset: number };
type Numbers = Float64Array | Uint32Array | Int32Array;

/** A kernel ready to be encoded for one problem. `N` are the names of its bindings. */
export interface BorrowedKernel<N extends string> {
  /** Workgroups to dispatch; `encode` does. */
  readonly grid: Grid;
  /** The WGSL that was compiled for this problem and device. */
  readonly code: string;
  /** The shape of every binding; null where this problem does not use it. */
  readonly shapes: Readonly<Record<N, Shape | null>>;
  /** Bytes that every binding takes, 0 where it is not used. */
  readonly bytes: Readonly<Record<N, number>>;
  /** Binds buffers with usage STORAGE, one for every binding that has a shape. The group may be used for many passes. */
  bind(buffers: Partial<Record<N, Bound>>): GPUBindGroup;
  /** Sets pipeline and group, and dispatches. Nothing is submitted. */
  encode(pass: GPUComputePassEncoder, group: GPUBindGroup): void;
  /** What the kernel must write, in f64 by its plain reference: every output, given every input. */
  reference(inputs: Partial<Record<N, ArrayLike<number>>>): Partial<Record<N, Numbers>>;
  /** Destroys the uniform and what stands in for unused bindings; the device and the buffers bound are left alone. */
  dispose(): void;
}

/**
 * Compiles a kernel of the catalogue, or one of your own, for one problem on a device that `useDevice` wrapped.
 * @throws TesseraeError where no variant runs there, a parameter is missing or the text does not compile
 */
export async function borrowKernel<
  B extends BindingTypes,
  P extends ParamTypes,
  O extends KnobValues,
  I extends string,
>(device: Device, spec: Kernel<B, P, O, I>, problem: Problem<P, O>): Promise<BorrowedKernel<keyof B & string>> {
  type N = keyof B & string;
  const kernel = spec as unknown as AnyKernel;
  if (!device?.traits) fail('borrowKernel: the first argument is a Device, which useDevice(gpuDevice) makes');
  if (!kernel?.variants) fail('borrowKernel: the second argument is a kernel of the catalogue, or of defineKernel');
  const full = { ...kernel.options, ...problem } as Settings;
  const program = resolve(kernel, full, device.traits);
  const shapes = kernel.shapes(full as never) as Record<N, Shape | null>;
  const names = Object.keys(kernel.bindings) as N[];
  const sizes = names.map((name) => {
    const shape = shapes[name];
    return [name, shape ? Math.max(4, bytesOf(storedAs(kernel, name, full), numel(shape))) : 0];
  });
  const bytes = Object.fromEntries(sizes) as Record<N, number>;
  for (const name of names) {
    const { maxBindingBytes: most } = device.traits;
    if (bytes[name] > most)
      throw new CapacityError(
        `${kernel.name}: ${name} ${shapeText(shapes[name] ?? [])} takes ${bytes[name]} bytes, this device binds ${most} at most: cut the work into parts`,
      );
  }
  const { pipeline, layout } = await new Pipelines(device).get(kernel.name, program);
  const own: GPUBuffer[] = [];
  const make = (size: number, usage: number): GPUBuffer => {
    const buffer = device.gpu.createBuffer({ label: kernel.name, size, usage });
    own.push(buffer);
    return buffer;
  };
  const entries: GPUBindGroupEntry[] = [];
  if (program.wgsl.paramsBytes) {
    const buffer = make(program.wgsl.paramsBytes, USAGE.UNIFORM | USAGE.COPY_DST);
    device.gpu.queue.writeBuffer(buffer, 0, packParams(program.wgsl, full));
    entries.push({ binding: 0, resource: { buffer } });
  }
  const unused = names.filter((name) => !shapes[name]);
  for (const name of unused)
    entries.push({ binding: kernel.bindings[name].binding, resource: { buffer: make(16, USAGE.STORAGE) } });

  const { minStorageBufferOffsetAlignment: alignment } = device.gpu.limits;
  let disposed = false;
  const check = (): void => {
    if (disposed) fail(`${kernel.name}: it was disposed of; borrow it again`);
  };
  const bind = (buffers: Partial<Record<N, Bound>>): GPUBindGroup => {
    check();
    const unknown = Object.keys(buffers).find((name) => !names.includes(name as N));
    if (unknown) fail(`${kernel.name}: there is no binding ${unknown}: they are ${names.join(', ')}`);
    const given = names.flatMap((name): GPUBindGroupEntry[] => {
      const shape = shapes[name];
      const bound = buffers[name];
      if (!shape) return [];
      if (!bound) fail(`${kernel.name}: ${name} ${shapeText(shape)} needs a buffer of ${bytes[name]} bytes`);
      const { buffer, offset } = 'buffer' in bound ? bound : { buffer: bound, offset: 0 };
      if (!(buffer.usage & USAGE.STORAGE)) fail(`${kernel.name}: the buffer of ${name} needs the usage STORAGE`);
      if (offset % alignment)
        fail(`${kernel.name}: ${name} must begin at a multiple of ${alignment} bytes in its buffer, not at ${offset}`);
      if (buffer.size - offset < bytes[name])
        fail(
          `${kernel.name}: ${name} ${shapeText(shape)} takes ${bytes[name]} bytes, its buffer has ${buffer.size - offset}`,
        );
      return [{ binding: kernel.bindings[name].binding, resource: { buffer, offset, size: bytes[name] } }];
    });
    return device.gpu.createBindGroup({ label: kernel.name, layout, entries: [...entries, ...given] });
  };
  const encode = (pass: GPUComputePassEncoder, group: GPUBindGroup): void => {
    check();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(program.grid[0], program.grid[1], program.grid[2]);
  };
  const reference = (inputs: Partial<Record<N, ArrayLike<number>>>): Partial<Record<N, Numbers>> => {
    const arrays = {} as Record<N, Numbers>;
    for (const name of names) {
      const shape = shapes[name];
      const length = shape ? numel(shape) : 0;
      const { type, access } = kernel.bindings[name];
      arrays[name] = new (type === 'u32' ? Uint32Array : type === 'i32' ? Int32Array : Float64Array)(length);
      if (!length || (access === 'read_write' && !kernel.inout.includes(name))) continue;
      const data = inputs[name] ?? fail(`${kernel.name}: the reference needs ${name} ${shapeText(shape as Shape)}`);
      if (data.length !== length) fail(`${kernel.name}: ${name} has ${length} elements, got ${data.length}`);
      arrays[name].set(Array.from(data));
    }
    kernel.reference(arrays as never, full as never);
    const written = names.filter((name) => kernel.bindings[name].access === 'read_write' && shapes[name]);
    return Object.fromEntries(written.map((name) => [name, arrays[name]])) as Partial<Record<N, Numbers>>;
  };
  const dispose = (): void => {
    disposed = true;
    for (const buffer of own) buffer.destroy();
  };
  return { grid: program.grid, code: program.code, shapes, bytes, bind, encode, reference, dispose };
}
