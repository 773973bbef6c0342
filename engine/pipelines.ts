// Compute pipelines by their text: compiled once an engine, all of a plan in parallel.
import type { Program } from '../kernels/restate.ts';
import type { Device } from './device.ts';
import { fail, TesseraeError } from './errors.ts';

const COMPUTE = 4;

interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

export class Pipelines {
  readonly #device: Device;
  readonly #byCode = new Map<string, Promise<Pipeline>>();
  #mostGroups: number | null = null;

  constructor(device: Device) {
    this.#device = device;
  }

  get count(): number {
    return this.#byCode.size;
  }

  /** The program's pipeline; `label` names it in errors. */
  async get(label: string, program: Program): Promise<Pipeline> {
    const { grid } = program;
    const most = (this.#mostGroups ??= this.#device.gpu.limits.maxComputeWorkgroupsPerDimension);
    if (Math.max(...grid) > most)
      fail(
        `${label}: a grid of ${grid.join(' x ')} workgroups, ${most} a dimension at most: fold(n) lays n out in two`,
      );
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
    // A text that is wrong is its author's to mend, and no error of the device: that would end all else on it.
    gpu.pushErrorScope('validation');
    const layout = gpu.createBindGroupLayout({ label, entries });
    const module = gpu.createShaderModule({ label, code });
    const whole = gpu.createPipelineLayout({ label, bindGroupLayouts: [layout] });
    const refused = gpu.popErrorScope().catch(() => null);
    try {
      const compute = { module, entryPoint: 'main' };
      return { pipeline: await gpu.createComputePipelineAsync({ label, layout: whole, compute }), layout };
    } catch (error) {
      await this.#device.reason();
      const { messages } = await module.getCompilationInfo();
      const first = messages.find(({ type }) => type === 'error');
      const line = first && code.split('\n')[first.lineNum - 1]?.trim();
      // Of bindings that the device refuses the pipeline knows only that there was an error before.
      const { message } = first ?? (await refused) ?? (error as Error);
      const why = `${first ? `line ${first.lineNum}, ${line}: ` : ''}${message.trim().split('\n')[0]}`;
      throw new TesseraeError(`${label}: does not compile on this adapter: ${why}`);
    }
  }
}
