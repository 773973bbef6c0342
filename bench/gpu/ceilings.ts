// What the device can do at best, measured: copy bandwidth, multiply-adds in registers, products of subgroup matrices.
// Each probe also checks a number that it computed: a rate of something else would be no ceiling.
import type { Device } from '../../engine/device.ts';
import { elementwiseCopy } from '../../kernels/elementwise/elementwise.ts';
import type { AnyKernel, MatrixShape } from '../../kernels/kernel.ts';
import { type Sampling, timeCalls } from '../call.ts';

export interface Ceiling {
  readonly what: 'copy' | 'fma f32' | 'fma f16' | 'matrix f16';
  /** How the best of the tried ways did it. */
  readonly how: string;
  /** GB/s read plus written, or GFLOP/s; 0 where it failed. */
  readonly rate: number;
  readonly error?: string;
}

interface Probe {
  readonly what: Ceiling['what'];
  readonly how: string;
  readonly code: string;
  /** Bytes of `from` and `to`. */
  readonly bytes: number;
  readonly groups: readonly [number, number];
  /** Bytes moved or floating-point operations of one dispatch. */
  readonly work: number;
  /** Whether `to` holds what it must. */
  readonly right: (words: Uint32Array) => boolean;
}

const SAMPLES = 5;
const SUBMIT_MS = 40;
const MOST_REPEATS = 200;
const USAGE = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, STORAGE: 128 };
/** What the probes read: [0] is copied, [4] = a and [5] = b, [8..11] starts the chains; then f16 operands. */
const NUMBERS = Float32Array.of(3, 0, 0, 0, 0.5, 1, 0, 0, 1, 1, 1, 1);
/** Where f16 of 1 and of 1/64 begin, and how many of each: enough for any matrix shape. */
const [ONES, SIXTYFOURTHS, OPERANDS] = [64, 4160, 4096];
const HEAD = `@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
`;

/** The best of every kind: of `matrix` products, or of all else. `small`: a fraction of the work, for software adapters. */
export async function measureCeilings(
  device: Device,
  matrix: boolean,
  small: boolean,
  found: (ceiling: Ceiling) => void,
): Promise<Ceiling[]> {
  const probes = matrix ? products(device, small) : [...copies(device, small), ...multiplyAdds(device, small)];
  const best = new Map<string, Ceiling>();
  for (const probe of probes) {
    const { what, how } = probe;
    const ceiling = await rateOf(device, probe).then(
      (rate) => ({ what, how, rate }),
      (error: Error) => ({ what, how, rate: 0, error: error.message }),
    );
    found(ceiling);
    if (ceiling.rate > (best.get(what)?.rate ?? 0)) best.set(what, ceiling);
  }
  return [...best.values()];
}

/** More than that is copied at the speed of that. */
const LARGEST_COPY = 2 ** 30;

/**
 * How long, in milliseconds, a plain copy takes that reads and writes so many bytes together: what a kernel that moves as much can hope for,
 * however short it is. A copy of every size is timed once, as kernels are.
 */
export function copyTimes(device: Device, sampling: Sampling): (bytes: number) => Promise<number> {
  const found = new Map<number, number>();
  return async (bytes) => {
    const most = 2 * Math.min(LARGEST_COPY, device.traits.maxBindingBytes);
    const n = Math.max(4, 4 * Math.round(Math.min(bytes, most) / 32));
    let ms = found.get(n);
    if (ms === undefined) {
      const call = { kernel: elementwiseCopy as unknown as AnyKernel, problem: { n } };
      found.set(n, (ms = (await timeCalls(device, [call], sampling)).ms));
    }
    return (ms * bytes) / (8 * n);
  };
}

/** y = x, `per` vec4 a thread, WG apart. */
function copies(device: Device, small: boolean): Probe[] {
  const { maxStorageBufferBindingSize, maxBufferSize } = device.gpu.limits;
  const bytes = Math.min(
    small ? 2 ** 24 : 2 ** 30,
    2 ** Math.floor(Math.log2(Math.min(maxStorageBufferBindingSize, maxBufferSize))),
  );
  return (small ? [4] : [1, 4, 8]).map((per) => {
    const wg = 256;
    const groups = bytes / 16 / wg / per;
    const [gx, gy] = groups > 32768 ? [32768, groups / 32768] : [groups, 1];
    const lines = Array.from({ length: per }, (_, i) => `y[at + ${i * wg}u] = x[at + ${i * wg}u];`).join(' ');
    const code = `${HEAD}@compute @workgroup_size(${wg})
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let at = (w.y * ${gx}u + w.x) * ${wg * per}u + t;
  ${lines}
}`;
    const right = (words: Uint32Array): boolean => new Float32Array(words.buffer)[0] === NUMBERS[0];
    return {
      what: 'copy',
      how: `${per} vec4 a thread, ${bytes / 2 ** 20} MiB`,
      code,
      bytes,
      groups: [gx, gy],
      work: 2 * bytes,
      right,
    };
  });
}

/** Multiply-adds of a chain in one turn of a loop. Lavapipe keeps what a turn hands on in memory: with one of each, its rate was a quarter. */
const UNROLLED = 16;

/** Chains of v = v * a + b with v -> b / (1 - a), from a and b that the compiler does not know. */
function multiplyAdds(device: Device, small: boolean): Probe[] {
  const half = device.traits.features.has('shader-f16');
  const types = half ? (['f32', 'f16'] as const) : (['f32'] as const);
  const steps = 1024;
  const groups = small ? 256 : 8192;
  const wg = small ? 64 : 256;
  return types.flatMap((type) =>
    (small ? [4, 8] : [2, 4]).map((chains): Probe => {
      const lines = (text: (i: number) => string) => Array.from({ length: chains }, (_, i) => text(i)).join(' ');
      const turn = lines((i) => `v${i} = fma(v${i}, a, b);`);
      const code = `${type === 'f16' ? 'enable f16;\n' : ''}${HEAD}@compute @workgroup_size(${wg})
fn main(@builtin(global_invocation_id) g: vec3<u32>) {
  let a = vec4<${type}>(x[1].xxxx);
  let b = vec4<${type}>(x[1].yyyy);
  ${lines((i) => `var v${i} = vec4<${type}>(x[2] + vec4<f32>(${i}.0));`)}
  for (var k = 0u; k < ${steps / UNROLLED}u; k++) {
    ${Array(UNROLLED).fill(turn).join('\n    ')}
  }
  y[g.x] = vec4<f32>(${Array.from({ length: chains }, (_, i) => `v${i}`).join(' + ')});
}`;
      const work = 2 * 4 * chains * steps * wg * groups;
      // With a = 0.5 and b = 1 every chain ends at 2.
      const right = (words: Uint32Array): boolean => Math.abs(new Float32Array(words.buffer)[0] - 2 * chains) < 0.01;
      const how = `${chains} chains of vec4, ${wg} threads`;
      return {
        what: `fma ${type}`,
        how,
        code,
        bytes: Math.max(2 ** 16, wg * groups * 16),
        groups: [groups, 1],
        work,
        right,
      };
    }),
  );
}

/** c += L R on one pair of operands that every subgroup keeps in registers; a subgroup is a workgroup. */
function products(device: Device, small: boolean): Probe[] {
  const { matrices, subgroupMaxSize, features } = device.traits;
  if (!features.has('shader-f16')) return [];
  const steps = small ? 64 : 1024;
  const groups = small ? 64 : 16384;
  return matrices.flatMap((shape) =>
    (small ? [1, 4] : [2, 4, 8]).map((chains): Probe => {
      const tile = shape.M * shape.N;
      return {
        what: 'matrix f16',
        how: `${shape.M}x${shape.N}x${shape.K}, ${chains} sums a subgroup of ${subgroupMaxSize}`,
        code: productCode(shape, subgroupMaxSize, chains, steps),
        bytes: Math.max(2 ** 16, groups * chains * tile * 4),
        groups: [groups, 1],
        work: 2 * tile * shape.K * chains * steps * groups,
        // Operands of 1 and 1/64: every element of a sum gets steps * K / 64.
        right: (words) => new Float32Array(words.buffer)[0] === (steps * shape.K) / 64,
      };
    }),
  );
}

function productCode({ M, N, K }: MatrixShape, wg: number, chains: number, steps: number): string {
  const lines = (text: (i: number) => string) => Array.from({ length: chains }, (_, i) => text(i)).join(' ');
  return `enable f16;
enable chromium_experimental_subgroup_matrix;
@group(0) @binding(0) var<storage, read> x: array<f16>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
alias L = subgroup_matrix_left<f16, ${K}, ${M}>;
alias R = subgroup_matrix_right<f16, ${N}, ${K}>;
alias C = subgroup_matrix_result<f32, ${N}, ${M}>;
@compute @workgroup_size(${wg})
fn main(@builtin(workgroup_id) w: vec3<u32>) {
  let left = subgroupMatrixLoad<L, row_major>(&x, ${ONES}u, ${K}u);
  let right = subgroupMatrixLoad<R, row_major>(&x, ${SIXTYFOURTHS}u, ${N}u);
  ${lines((i) => `var c${i} = C(0);`)}
  for (var k = 0u; k < ${steps}u; k++) {
    ${lines((i) => `c${i} = subgroupMatrixMultiplyAccumulate(left, right, c${i});`)}
  }
  let at = w.x * ${chains * M * N}u;
  ${lines((i) => `subgroupMatrixStore<row_major>(&y, at + ${i * M * N}u, c${i}, ${N}u);`)}
}`;
}

async function rateOf(device: Device, probe: Probe): Promise<number> {
  const { gpu } = device;
  const buffer = (label: string): GPUBuffer =>
    gpu.createBuffer({ label, size: probe.bytes, usage: USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST });
  const [x, y] = [buffer('from'), buffer('to')];
  try {
    gpu.queue.writeBuffer(x, 0, NUMBERS);
    gpu.queue.writeBuffer(x, 2 * ONES, new Uint16Array(OPERANDS).fill(0x3c00));
    gpu.queue.writeBuffer(x, 2 * SIXTYFOURTHS, new Uint16Array(OPERANDS).fill(0x2400));
    const module = gpu.createShaderModule({ label: probe.what, code: probe.code });
    const pipeline = await gpu.createComputePipelineAsync({
      label: probe.what,
      layout: 'auto',
      compute: { module, entryPoint: 'main' },
    });
    const entries = [x, y].map((b, binding) => ({ binding, resource: { buffer: b } }));
    const group = gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
    const time = async (times: number): Promise<number> => {
      const encoder = gpu.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      for (let i = 0; i < times; i++) pass.dispatchWorkgroups(...probe.groups);
      pass.end();
      const commands = [encoder.finish()];
      const began = performance.now();
      gpu.queue.submit(commands);
      await device.wait(gpu.queue.onSubmittedWorkDone());
      return (performance.now() - began) / times;
    };
    await time(1);
    const once = Math.min(await time(1), await time(1));
    const times = Math.min(MOST_REPEATS, Math.max(1, Math.ceil(SUBMIT_MS / Math.max(once, 0.01))));
    const samples: number[] = [];
    for (let i = 0; i < SAMPLES; i++) samples.push(await time(times));
    device.check();
    if (!probe.right(await firstWords(device, y)))
      throw new Error(`${probe.what} (${probe.how}) computed something else`);
    // The fastest, as what else the machine does only ever adds.
    return probe.work / Math.min(...samples) / 1e6;
  } finally {
    x.destroy();
    y.destroy();
  }
}

async function firstWords({ gpu, wait }: Device, buffer: GPUBuffer): Promise<Uint32Array> {
  const staging = gpu.createBuffer({ size: 16, usage: USAGE.MAP_READ | USAGE.COPY_DST });
  const encoder = gpu.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, 16);
  gpu.queue.submit([encoder.finish()]);
  await wait(staging.mapAsync(USAGE.MAP_READ));
  const words = new Uint32Array(staging.getMappedRange().slice(0));
  staging.destroy();
  return words;
}
