// Counts what is made on a GPUDevice by wrapping its create* methods, so that no test has to believe the engine's own
// counters; and fills the engine's transient buffers with a number between runs.

export interface Spy {
  /** Calls of every create* method since the spy was set. */
  readonly made: Readonly<Record<string, number>>;
  /** Buffers that were made and not destroyed. */
  readonly buffers: ReadonlySet<GPUBuffer>;
  readonly bytes: number;
  /** The most bytes that there were at once. */
  readonly peak: number;
  /** Fills every living buffer of this label. */
  fill(label: string, value: number): number;
}

const CREATE = [
  'createBuffer',
  'createTexture',
  'createSampler',
  'createBindGroup',
  'createBindGroupLayout',
  'createPipelineLayout',
  'createShaderModule',
  'createComputePipeline',
  'createComputePipelineAsync',
  'createQuerySet',
] as const;

export function spyOn(gpu: GPUDevice): Spy {
  const made: Record<string, number> = Object.fromEntries(CREATE.map((name) => [name, 0]));
  const buffers = new Set<GPUBuffer>();
  const bytes = (): number => [...buffers].reduce((sum, b) => sum + b.size, 0);
  let peak = 0;
  const methods = gpu as unknown as Record<string, (descriptor: unknown) => unknown>;
  for (const name of CREATE) {
    const original = methods[name].bind(gpu);
    const wrapped = (descriptor: unknown): unknown => {
      made[name]++;
      const object = original(descriptor);
      if (name === 'createBuffer') {
        follow(object as GPUBuffer, buffers);
        peak = Math.max(peak, bytes());
      }
      return object;
    };
    Object.defineProperty(gpu, name, { value: wrapped, configurable: true });
  }
  return {
    made,
    buffers,
    get bytes() {
      return bytes();
    },
    get peak() {
      return peak;
    },
    fill(label, value) {
      const chosen = [...buffers].filter((b) => b.label === label);
      for (const b of chosen) gpu.queue.writeBuffer(b, 0, new Float32Array(b.size / 4).fill(value));
      return chosen.length;
    },
  };
}

function follow(buffer: GPUBuffer, living: Set<GPUBuffer>): void {
  living.add(buffer);
  const destroy = buffer.destroy.bind(buffer);
  Object.defineProperty(buffer, 'destroy', {
    value: () => {
      living.delete(buffer);
      return destroy();
    },
  });
}
