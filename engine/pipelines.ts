// Compute pipelines by their text: compiled once an engine, all of a plan in parallel.
import type { Program } from '../kernels/restate.ts';
import type { Device } from './device.ts';
import { TesseraeError } from './errors.ts';

const COMPUTE = 4;

interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

export class Pipelines {
  readonly #device: Device;
  readonly #byCode = new Map<string, Promise<Pipeline>>();

  constructor(device: Device) {
    this.#device = device;
  }

  get count(): number {
    return this.#byCode.size;
  }

  /** The program's pipeline; `label` names it in errors. */
  get(label: string, program: Program): Promise<Pipeline> {
    let made = this.#byCode.get(program.code);
    if (!made) {
      made = this.#compile(label, program);
      this.#byCode.set(program.code, made);
    }
    return made;
  }

  async #compile(label: string, { code, wgsl }: Program): Promise<Pipeline> {
    const { gpu } = this.#device;
    const entries: GPUBindGroupLayoutEntry[] = Object.values(wgsl.bindings).map((b) => ({
      binding: b.binding,
      visibility: COMPUTE,
      buffer: { type: b.access === 'read' ? 'read-only-storage' : 'storage' },
    }));
    if (wgsl.paramsBytes) entries.push({ binding: 0, visibility: COMPUTE, buffer: { type: 'uniform' } });
    const layout = gpu.createBindGroupLayout({ label, entries });
    const module = gpu.createShaderModule({ label, code });
    try {
      const pipeline = await gpu.createComputePipelineAsync({
        label,
        layout: gpu.createPipelineLayout({ label, bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: 'main' },
      });
      return { pipeline, layout };
    } catch (error) {
      await this.#device.reason();
      const messages = (await module.getCompilationInfo()).messages.filter((m) => m.type === 'error');
      const first = messages[0] ? `line ${messages[0].lineNum}: ${messages[0].message}` : (error as Error).message;
      throw new TesseraeError(`${label}: does not compile on this adapter: ${first}`);
    }
  }
}
