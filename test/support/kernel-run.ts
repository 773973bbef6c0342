// Runs one kernel on a device beside its f64 reference: poisoned outputs, guard bytes, fresh random inputs.
import { type AnyKernel, type Scalar, type Settings, type Shape, storedAs } from '../../kernels/kernel.ts';
import { type Random, random } from '../../kernels/random/random.ts';
import { packParams, type Program, resolve } from '../../kernels/restate.ts';
import type { Device } from '../../engine/device.ts';
import { fromHalves, throughHalves, toHalves } from '../../engine/half.ts';

const GUARD_BYTES = 256;
/** Of outputs that are stored as f16. */
const HALF_TOLERANCE = 1e-3;
export const POISONS = [Number.NaN, 1e30, 0] as const;

type Data = Float64Array | Uint32Array | Int32Array;
export interface Trial {
  program: Program;
  problem: Settings;
  shapes: Record<string, Shape | null>;
  inputs: Record<string, Data>;
  expected: Record<string, Data>;
  types: Record<string, Scalar>;
}

const count = (shape: Shape | null): number => (shape ? shape.reduce((a, b) => a * b, 1) : 0);

/** Draws inputs and computes what the reference says. */
export function prepare(kernel: AnyKernel, problem: Settings, device: Pick<Device, 'traits'>, seed: number): Trial {
  const full: Settings = { ...kernel.options, ...problem };
  const program = resolve(kernel, problem, device.traits);
  const shapes = kernel.shapes(full as never) as Record<string, Shape | null>;
  const rng: Random = random(seed);
  const given = kernel.inputs?.(full as never, rng) ?? {};
  const inputs: Record<string, Data> = {};
  const types: Record<string, Scalar> = {};
  const arrays: Record<string, Data> = {};
  for (const [name, b] of Object.entries(kernel.bindings) as [string, { access: string; type: string }][]) {
    const n = count(shapes[name]);
    types[name] = storedAs(kernel, name, full);
    const halved = types[name] === 'f16' || (b.type === 'f32' && program.variant.halfOperands);
    const data = b.type === 'u32' ? new Uint32Array(n) : b.type === 'i32' ? new Int32Array(n) : new Float64Array(n);
    if (b.access === 'read' || kernel.inout.includes(name)) {
      // Through f32: the reference must see the very numbers that the device sees.
      for (let i = 0; i < n; i++) data[i] = given[name] ? given[name][i] : Math.fround(rng.normal());
      if (given[name] && given[name].length !== n)
        throw new Error(`${kernel.name}: inputs gave ${given[name].length} for ${name}, shape has ${n}`);
      if (halved) data.set(throughHalves(data as Float64Array));
      else if (data instanceof Float64Array) for (let i = 0; i < n; i++) data[i] = Math.fround(data[i]);
      inputs[name] = data;
      arrays[name] = data.slice();
    } else arrays[name] = data;
  }
  kernel.reference(arrays as never, full as never);
  const expected = Object.fromEntries(
    Object.entries(arrays).filter(([name]) => kernel.bindings[name].access === 'read_write' && shapes[name] !== null),
  );
  return { program, problem: full, shapes, inputs, expected, types };
}

interface Buffers {
  bindGroup: GPUBindGroup;
  pipeline: GPUComputePipeline;
  buffers: Record<string, { buffer: GPUBuffer; bytes: number }>;
  uniform: GPUBuffer | null;
}

function onDevice(data: Data, type: Scalar): Uint8Array<ArrayBuffer> {
  if (type === 'f16') return new Uint8Array(toHalves(data).buffer);
  return new Uint8Array((data instanceof Float64Array ? Float32Array.from(data) : data.slice()).buffer as ArrayBuffer);
}

/** Bytes of a binding: at least 4, and a multiple of that; where it is not used, what any element type is content with. */
const bytesIn = (trial: Trial, name: string): number =>
  Math.max(trial.shapes[name] ? 4 : 16, count(trial.shapes[name]) * (trial.types[name] === 'f16' ? 2 : 4));

/** Pipeline and bind group for a trial; outputs filled with `poison`, guards around every buffer. */
async function bind(kernel: AnyKernel, trial: Trial, device: Device, poison: number): Promise<Buffers> {
  const { gpu } = device;
  const { wgsl, code } = trial.program;
  const module = gpu.createShaderModule({ label: kernel.name, code });
  const info = await module.getCompilationInfo();
  for (const m of info.messages)
    if (m.type === 'error') throw new Error(`${kernel.name}:${m.lineNum}: ${m.message}\n${code}`);
  const entries: GPUBindGroupLayoutEntry[] = Object.values(wgsl.bindings).map((b) => ({
    binding: b.binding,
    visibility: 4,
    buffer: { type: b.access === 'read' ? 'read-only-storage' : 'storage' },
  }));
  if (wgsl.paramsBytes) entries.push({ binding: 0, visibility: 4, buffer: { type: 'uniform' } });
  const layout = gpu.createBindGroupLayout({ entries });
  const pipeline = await gpu.createComputePipelineAsync({
    label: kernel.name,
    layout: gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: 'main' },
  });
  const buffers: Buffers['buffers'] = {};
  const group: GPUBindGroupEntry[] = [];
  for (const [name, b] of Object.entries(wgsl.bindings)) {
    const bytes = bytesIn(trial, name);
    const buffer = gpu.createBuffer({
      label: name,
      size: Math.ceil((bytes + 2 * GUARD_BYTES) / 4) * 4,
      usage: 128 | 4 | 8,
    });
    const fill = new Float32Array(buffer.size / 4).fill(poison);
    gpu.queue.writeBuffer(buffer, 0, fill);
    if (trial.inputs[name]?.length)
      gpu.queue.writeBuffer(buffer, GUARD_BYTES, onDevice(trial.inputs[name], trial.types[name]));
    buffers[name] = { buffer, bytes };
    group.push({ binding: b.binding, resource: { buffer, offset: GUARD_BYTES, size: bytes } });
  }
  let uniform: GPUBuffer | null = null;
  if (wgsl.paramsBytes) {
    uniform = gpu.createBuffer({ label: 'params', size: wgsl.paramsBytes, usage: 64 | 8 });
    gpu.queue.writeBuffer(uniform, 0, packParams(wgsl, trial.problem));
    group.push({ binding: 0, resource: { buffer: uniform } });
  }
  return { pipeline, bindGroup: gpu.createBindGroup({ layout, entries: group }), buffers, uniform };
}

function dispatch(device: Device, trial: Trial, b: Buffers, times = 1): void {
  const encoder = device.gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(b.pipeline);
  pass.setBindGroup(0, b.bindGroup);
  for (let i = 0; i < times; i++) pass.dispatchWorkgroups(...(trial.program.grid as [number, number, number]));
  pass.end();
  device.gpu.queue.submit([encoder.finish()]);
}

async function read(device: Device, buffer: GPUBuffer): Promise<ArrayBuffer> {
  const staging = device.gpu.createBuffer({ size: buffer.size, usage: 1 | 8 });
  const encoder = device.gpu.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
  device.gpu.queue.submit([encoder.finish()]);
  await device.wait(staging.mapAsync(1));
  const copy = staging.getMappedRange().slice(0);
  staging.destroy();
  return copy;
}

/** Runs the trial and throws where an output differs from the reference or a guard byte changed. */
export async function compare(kernel: AnyKernel, trial: Trial, device: Device, poison: number): Promise<number> {
  const b = await bind(kernel, trial, device, poison);
  dispatch(device, trial, b);
  let worst = 0;
  for (const [name, want] of Object.entries(trial.expected)) {
    const raw = await read(device, b.buffers[name].buffer);
    device.check();
    const words = new Uint32Array(raw);
    const poisonWord = new Uint32Array(Float32Array.of(poison).buffer)[0];
    const { bytes } = b.buffers[name];
    for (let i = 0; i < words.length; i++) {
      const inside = i >= GUARD_BYTES / 4 && i < (GUARD_BYTES + bytes) / 4;
      if (!inside && words[i] !== poisonWord)
        throw new Error(`${kernel.name}: wrote outside ${name} at word ${i - GUARD_BYTES / 4}`);
    }
    const half = trial.types[name] === 'f16';
    const got = half
      ? fromHalves(new Uint16Array(raw, GUARD_BYTES, want.length))
      : want instanceof Float64Array
        ? new Float32Array(raw, GUARD_BYTES, want.length)
        : new Uint32Array(raw, GUARD_BYTES, want.length);
    const tolerance = Math.max(kernel.tolerance ?? 1e-5, trial.program.variant.tolerance, half ? HALF_TOLERANCE : 0);
    worst = Math.max(worst, difference(kernel, name, got, want, tolerance));
  }
  for (const { buffer } of Object.values(b.buffers)) buffer.destroy();
  b.uniform?.destroy();
  return worst;
}

function difference(
  kernel: AnyKernel,
  name: string,
  got: Float32Array | Uint32Array,
  want: Data,
  tolerance: number,
): number {
  const exact = !(want instanceof Float64Array);
  let scale = 0;
  for (const v of want) scale += v * v;
  scale = Math.sqrt(scale / Math.max(1, want.length));
  let worst = 0;
  for (let i = 0; i < want.length; i++) {
    const w = exact ? want[i] >>> 0 : want[i];
    const error = Math.abs(got[i] - w);
    const bound = exact ? 0 : tolerance * (1 + Math.abs(w) + scale);
    if (!(error <= bound))
      throw new Error(
        `${kernel.name}: ${name}[${i}] is ${got[i]}, the reference says ${w} (bound ${bound.toExponential(1)})`,
      );
    if (!exact) worst = Math.max(worst, error / (1 + Math.abs(w) + scale));
  }
  return worst;
}
