// Run in a candidate environment, in a process of its own: opens Dawn there, computes something small, compares it with
// the host, and prints one JSON line. `node probe.mjs [NAME]`: NAME is a part of an adapter's name.
// A driver that crashes or hangs takes only this process with it. The exit is explicit: Dawn keeps Node alive otherwise.

const FLAGS = ['enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia'];
const N = 8;
const TILES = 64;

// One 8x8 product and a sum over subgroup lanes for each tile; every invocation owns one output element.
const BASE = /* wgsl */ `
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(${N}, ${N}) fn main(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_id) id: vec3u) {
  let base = tile.x * ${N * N}u;
  var sum = 0.0;
  for (var k = 0u; k < ${N}u; k++) {
    sum += a[base + id.y * ${N}u + k] * b[base + k * ${N}u + id.x];
  }
  out[base + id.y * ${N}u + id.x] = sum;
}`;
const SUBGROUPS = /* wgsl */ `
enable subgroups;
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(${N * N}) fn main(@builtin(global_invocation_id) id: vec3u, @builtin(subgroup_size) size: u32) {
  let lanes = subgroupAdd(1.0);
  let first = subgroupBroadcastFirst(a[id.x]);
  out[id.x] = b[id.x] + select(1000.0, 0.0, lanes == f32(size)) + select(1000.0, 0.0, subgroupMin(first) == first);
}`;

/** Raw names of all adapters: Dawn lists them when it is asked for one that is not there. */
async function adapterNames(create) {
  try {
    await create(['adapter=no adapter is called so']).requestAdapter();
    return [];
  } catch (error) {
    return [...String(error?.message ?? error).matchAll(/name: '([^']*)'/g)].map((match) => match[1]);
  }
}

const plain = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, '-');

async function compute(device, code, a, b) {
  const usage = { in: 0x80 | 0x8, out: 0x80 | 0x4, read: 0x1 | 0x8 };
  const buffer = (label, flags) => device.createBuffer({ label: `probe ${label}`, size: a.byteLength, usage: flags });
  const [ga, gb, out, read] = [
    buffer('a', usage.in),
    buffer('b', usage.in),
    buffer('out', usage.out),
    buffer('read', usage.read),
  ];
  device.queue.writeBuffer(ga, 0, a);
  device.queue.writeBuffer(gb, 0, b);
  const module = device.createShaderModule({ label: 'probe', code });
  const pipeline = await device.createComputePipelineAsync({ label: 'probe', layout: 'auto', compute: { module } });
  const bindGroup = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [ga, gb, out].map((resource, binding) => ({ binding, resource: { buffer: resource } })),
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(TILES);
  pass.end();
  encoder.copyBufferToBuffer(out, 0, read, 0, a.byteLength);
  device.queue.submit([encoder.finish()]);
  await read.mapAsync(1);
  return new Float32Array(read.getMappedRange().slice(0));
}

function worstError(got, want) {
  let worst = 0;
  for (let i = 0; i < want.length; i++)
    worst = Math.max(worst, Number.isFinite(got[i]) ? Math.abs(got[i] - want[i]) : Infinity);
  return worst;
}

async function probe(name) {
  const { create } = await import('webgpu');
  const names = await adapterNames(create);
  // Dawn's own match minds the case; here it does not.
  const wanted = name && names.find((raw) => raw.toLowerCase().includes(name.toLowerCase()));
  if (name && names.length && !wanted) return { ok: false, why: `no adapter is called ${name}`, names };
  const gpu = create(wanted ? [...FLAGS, `adapter=${wanted}`] : FLAGS);
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) return { ok: false, why: 'Dawn finds no adapter', names };
  const {
    vendor,
    architecture,
    device: model,
    description,
    isFallbackAdapter,
    subgroupMinSize,
    subgroupMaxSize,
  } = adapter.info;
  const features = [...adapter.features];
  const hasSubgroups = features.includes('subgroups');
  const device = await adapter.requestDevice({ label: 'probe', requiredFeatures: hasSubgroups ? ['subgroups'] : [] });
  const errors = [];
  device.addEventListener?.('uncapturederror', (event) => errors.push(event.error.message));
  const a = Float32Array.from({ length: TILES * N * N }, () => Math.random() * 2 - 1);
  const b = Float32Array.from({ length: TILES * N * N }, () => Math.random() * 2 - 1);
  const product = a.map((_, i) => {
    const [tile, row, column] = [i - (i % (N * N)), Math.floor((i % (N * N)) / N), i % N];
    let sum = 0;
    for (let k = 0; k < N; k++) sum += a[tile + row * N + k] * b[tile + k * N + column];
    return sum;
  });
  const error = worstError(await compute(device, BASE, a, b), product);
  const subgroupsRight = hasSubgroups ? worstError(await compute(device, SUBGROUPS, a, b), b) === 0 : null;
  const right = error < 1e-5 && errors.length === 0;
  const {
    maxBufferSize,
    maxStorageBufferBindingSize,
    maxComputeInvocationsPerWorkgroup,
    maxComputeWorkgroupStorageSize,
  } = adapter.limits;
  return {
    ok: right,
    why: right ? '' : (errors[0] ?? `its results are wrong by up to ${error}`),
    name: wanted ?? names.find((raw) => plain(raw) === plain(model)) ?? model,
    info: { vendor, architecture, device: model, description, isFallbackAdapter, subgroupMinSize, subgroupMaxSize },
    subgroupsRight,
    features,
    limits: {
      maxBufferSize,
      maxStorageBufferBindingSize,
      maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupStorageSize,
    },
    names,
  };
}

let result;
try {
  result = await probe(process.argv[2]);
} catch (error) {
  result = { ok: false, why: String(error?.message ?? error).split('\n')[0], names: [] };
}
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
