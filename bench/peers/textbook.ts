// The textbook matrix product as a peer, what a first kernel looks like: tiles of 64 x 64 in workgroup memory, 4 x 4
// sums a thread, plain loads, on the same device as ours. A kernel that is no faster has gained nothing.
import { openDawn } from '../../engine/node/dawn.ts';
import { type Prepared, serve, Unable } from './serve.ts';

const TILE = 64;
/** Sums of a thread along each side, and columns of a that are in workgroup memory at a time. */
const [PER, DEPTH] = [4, 16];
const SIDE = TILE / PER;
const USAGE = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, UNIFORM: 64, STORAGE: 128 };

/** c = a b for a (m, k), b (k, n), c (m, n); a workgroup makes a tile of c. */
const CODE = `
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@group(0) @binding(3) var<uniform> size: vec4<u32>; // m, n, k
var<workgroup> left: array<f32, ${TILE * DEPTH}>;
var<workgroup> right: array<f32, ${DEPTH * TILE}>;

@compute @workgroup_size(${SIDE}, ${SIDE})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_id) at: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let corner = ${TILE}u * group.yx;
  var sums = array<f32, ${PER * PER}>();
  for (var k0 = 0u; k0 < size.z; k0 += ${DEPTH}u) {
    for (var i = thread; i < ${TILE * DEPTH}u; i += ${SIDE * SIDE}u) {
      let from_a = vec2<u32>(corner.x + i / ${DEPTH}u, k0 + i % ${DEPTH}u);
      let from_b = vec2<u32>(k0 + i / ${TILE}u, corner.y + i % ${TILE}u);
      left[i] = select(0.0, a[from_a.x * size.z + from_a.y], from_a.x < size.x && from_a.y < size.z);
      right[i] = select(0.0, b[from_b.x * size.y + from_b.y], from_b.x < size.z && from_b.y < size.y);
    }
    workgroupBarrier();
    for (var k = 0u; k < ${DEPTH}u; k++) {
      for (var r = 0u; r < ${PER}u; r++) {
        let x = left[(${PER}u * at.y + r) * ${DEPTH}u + k];
        for (var s = 0u; s < ${PER}u; s++) {
          sums[${PER}u * r + s] = fma(x, right[k * ${TILE}u + ${PER}u * at.x + s], sums[${PER}u * r + s]);
        }
      }
    }
    workgroupBarrier();
  }
  for (var r = 0u; r < ${PER}u; r++) {
    for (var s = 0u; s < ${PER}u; s++) {
      let row = corner.x + ${PER}u * at.y + r;
      let col = corner.y + ${PER}u * at.x + s;
      if (row < size.x && col < size.y) { c[row * size.y + col] = sums[${PER}u * r + s]; }
    }
  }
}`;

const device = await openDawn();
const { gpu } = device;

serve({
  hello: async () => ({ version: 'textbook.ts', device: device.adapter.description }),
  prepare: async (work, inputs) => {
    if (work.kind !== 'gemm') throw new Unable('it is one matrix product');
    const { m, n, k } = work;
    return product([m, n, k], inputs.a.data, inputs.b.data);
  },
});

function product([m, n, k]: readonly [number, number, number], a: Float32Array, b: Float32Array): Prepared {
  const buffer = (size: number, usage: number) => gpu.createBuffer({ size, usage });
  const filled = (data: Float32Array | Uint32Array, usage: number): GPUBuffer => {
    const made = buffer(data.byteLength, usage | USAGE.COPY_DST);
    gpu.queue.writeBuffer(made, 0, data as Float32Array<ArrayBuffer>);
    return made;
  };
  const c = buffer(4 * m * n, USAGE.STORAGE | USAGE.COPY_SRC);
  const buffers = [
    filled(a, USAGE.STORAGE),
    filled(b, USAGE.STORAGE),
    c,
    filled(Uint32Array.of(m, n, k, 0), USAGE.UNIFORM),
  ];
  const module = gpu.createShaderModule({ code: CODE });
  const pipeline = gpu.createComputePipeline({ layout: 'auto', compute: { module } });
  const entries = buffers.map((each, binding) => ({ binding, resource: { buffer: each } }));
  const bindings = gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  return {
    run: async (times) => {
      for (let i = 0; i < times; i++) {
        const encoder = gpu.createCommandEncoder();
        const pass = encoder.beginComputePass();
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindings);
        pass.dispatchWorkgroups(Math.ceil(n / TILE), Math.ceil(m / TILE));
        pass.end();
        gpu.queue.submit([encoder.finish()]);
      }
      await device.wait(gpu.queue.onSubmittedWorkDone());
      device.check();
      return undefined;
    },
    read: async () => {
      const copy = buffer(c.size, USAGE.MAP_READ | USAGE.COPY_DST);
      const encoder = gpu.createCommandEncoder();
      encoder.copyBufferToBuffer(c, 0, copy, 0, c.size);
      gpu.queue.submit([encoder.finish()]);
      await device.wait(copy.mapAsync(USAGE.MAP_READ));
      const result = new Float32Array(copy.getMappedRange().slice(0));
      copy.destroy();
      return result;
    },
    dispose: () => {
      for (const each of buffers) each.destroy();
    },
  };
}
