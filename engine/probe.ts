// What an adapter's documentation does not say, found out by compiling or running tiny programs on it.
import rowsum from '../kernels/lib/rowsum.subgroups.wgsl';
import type { MatrixShape } from '../kernels/kernel.ts';
import { USAGE } from './allocate.ts';

export interface Probed {
  /** Subgroup operations are there and right. */
  readonly subgroups: boolean;
  /** Programs with subgroup matrices as kernels write them can be built. */
  readonly matrices: boolean;
}

/** What the adapter lists: a product of matrices, and the most threads of a subgroup. */
interface Listed {
  readonly matrix?: MatrixShape;
  readonly lanes: number;
}

/** What a new device is asked before any kernel is chosen for it. */
export async function probe(gpu: GPUDevice, { matrix, lanes }: Listed, wait?: Wait): Promise<Probed> {
  const subgroups = gpu.features.has('subgroups') && (await probeSubgroups(gpu, wait));
  const asked = subgroups && matrix && gpu.features.has('chromium-experimental-subgroup-matrix' as GPUFeatureName);
  return { subgroups, matrices: !!asked && (await compiles(gpu, matrixCalls(matrix, lanes))) };
}

type Wait = <T>(promise: Promise<T>) => Promise<T>;

/**
 * Every builtin that kernels call, on arrays of vectors: where the major order was still an argument, not in the type, they
 * were refused or counted in elements. Other shapes than the adapter lists, and fewer threads than a subgroup has, are refused.
 */
const matrixCalls = ({ M, N, K }: MatrixShape, lanes: number): string => `enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
alias Left = subgroup_matrix_left<f16, ${K}, ${M}>;
alias Right = subgroup_matrix_right<f16, ${N}, ${K}>;
alias Sum = subgroup_matrix_result<f32, ${N}, ${M}>;
var<workgroup> x: array<vec4<u32>, ${M * N + (Math.max(M, N) * K) / 8}>;
@compute @workgroup_size(${lanes}, 1, 1)
fn main() {
  let left = subgroupMatrixLoad<Left, row_major>(&x, 0u, ${K / 8}u);
  let right = subgroupMatrixLoad<Right, col_major>(&x, 0u, ${K / 8}u);
  subgroupMatrixStore<row_major>(&x, 0u, subgroupMatrixMultiplyAccumulate(left, right, Sum()), ${N / 4}u);
}
`;

async function compiles(gpu: GPUDevice, code: string): Promise<boolean> {
  gpu.pushErrorScope('validation');
  const module = gpu.createShaderModule({ label: 'probe', code });
  const error = gpu.popErrorScope();
  const { messages } = await module.getCompilationInfo();
  return (await error) === null && !messages.some(({ type }) => type === 'error');
}

const THREADS = 256;
const FIELDS = 11;

const SUBGROUPS = `enable subgroups;
const WG = ${THREADS}u;
@group(0) @binding(0) var<storage, read_write> found: array<u32>;
@compute @workgroup_size(WG, 1, 1)
fn main(@builtin(local_invocation_index) t: u32, @builtin(subgroup_invocation_id) lane: u32) {
  let x = f32((t * 2654435761u) >> 22u);
  let lanes = subgroupAdd(1u);
  let pair = subgroupAdd(vec2(x, 2.0 * x));
  let rows = rowSum2(t, vec2(x, 2.0 * x));
  let own = array<u32, ${FIELDS}>(
    lanes, lane, subgroupBroadcastFirst(t), u32(subgroupAdd(x)), u32(pair.y), u32(subgroupMax(x)), u32(subgroupBroadcast(x, 3u)),
    u32(subgroupShuffle(x, lane ^ (lanes - 1u))), u32(subgroupShuffleXor(x, 1u)), u32(rowSum(t, x)), u32(rows.y),
  );
  for (var i = 0u; i < ${FIELDS}u; i++) { found[t * ${FIELDS}u + i] = own[i]; }
}
${rowsum}`;

/**
 * Whether subgroup operations work on a device that has the feature: sums, maxima, broadcasts and shuffles are what the host
 * computes, and thread t is lane t % lanes of subgroup t / lanes. Some drivers offer subgroups and add up wrongly, or fail
 * to build the program: false too, for the device can do without.
 */
export async function probeSubgroups(gpu: GPUDevice, wait: Wait = (promise) => promise): Promise<boolean> {
  try {
    return (await compiles(gpu, SUBGROUPS)) && subgroupsAreRight(await runSubgroups(gpu, wait));
  } catch {
    return false;
  }
}

/** What the probe's threads found, one row each. */
export async function runSubgroups(gpu: GPUDevice, wait: Wait): Promise<Uint32Array> {
  const module = gpu.createShaderModule({ label: 'probe', code: SUBGROUPS });
  const pipeline = await gpu.createComputePipelineAsync({
    label: 'probe',
    layout: 'auto',
    compute: { module, entryPoint: 'main' },
  });
  const size = THREADS * FIELDS * 4;
  const found = gpu.createBuffer({ label: 'probe', size, usage: USAGE.STORAGE | USAGE.COPY_SRC });
  const staging = gpu.createBuffer({ label: 'probe', size, usage: USAGE.MAP_READ | USAGE.COPY_DST });
  try {
    const encoder = gpu.createCommandEncoder({ label: 'probe' });
    const pass = encoder.beginComputePass({ label: 'probe' });
    pass.setPipeline(pipeline);
    const entries = [{ binding: 0, resource: { buffer: found } }];
    pass.setBindGroup(0, gpu.createBindGroup({ label: 'probe', layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(1);
    pass.end();
    encoder.copyBufferToBuffer(found, 0, staging, 0, size);
    gpu.queue.submit([encoder.finish()]);
    await wait(staging.mapAsync(USAGE.MAP_READ));
    return new Uint32Array(staging.getMappedRange().slice(0));
  } finally {
    found.destroy();
    staging.destroy();
  }
}

/** Compares what the probe's threads found with what the host computes for subgroups of the size they counted. */
export function subgroupsAreRight(found: Uint32Array): boolean {
  const lanes = found[0];
  if (lanes < 4 || lanes > 128 || THREADS % lanes !== 0) return false;
  const x = Array.from({ length: THREADS }, (_, t) => Math.imul(t, 2654435761) >>> 22);
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  const all = sum(x);
  return x.every((_, t) => {
    const first = t - (t % lanes);
    const mates = x.slice(first, first + lanes);
    const lane = t - first;
    const own = sum(mates);
    const shared = [mates[3], mates[lanes - 1 - lane], mates[lane ^ 1]];
    const want = [lanes, lane, first, own, 2 * own, Math.max(...mates), ...shared, all, 2 * all];
    return want.every((value, i) => found[t * FIELDS + i] === value);
  });
}
