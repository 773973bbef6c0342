// An op of your own: y = x sigmoid(x), its WGSL, its gradient, its reference and where both are checked.
import { defineOp, type Tensor } from 'tesserae/engine';
import { defineKernel, variant, wgsl } from 'tesserae/kernels';

type Bindings = { x: ['read', 'f32']; dy: ['read', 'f32']; out: ['read_write', 'f32'] };
const text = wgsl<Bindings, { n: 'u32' }, { GRAD: boolean }>(`
const GRAD = false; // knob: out = dx, not y
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (n)
@group(0) @binding(2) var<storage, read> dy: array<f32>; // (n)
@group(0) @binding(3) var<storage, read_write> out: array<f32>; // (n)
@compute @workgroup_size(64, 1, 1)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= p.n) { return; }
  let s = 1.0 / (1.0 + exp(-x[id.x]));
  if (GRAD) { out[id.x] = dy[id.x] * s * (1.0 + x[id.x] * (1.0 - s)); } else { out[id.x] = x[id.x] * s; }
}`);

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
export const siluKernel = defineKernel({
  name: 'silu',
  variants: { simt: variant(text, { grid: ({ n }) => [Math.ceil(n / 64), 1, 1] }) },
  options: { GRAD: false },
  shapes: ({ n, GRAD }) => ({ x: [n], dy: GRAD ? [n] : null, out: [n] }),
  flops: ({ n }) => 6 * n,
  reference({ x, dy, out }, { GRAD }) {
    for (const [i, v] of x.entries()) out[i] = GRAD ? dy[i] * sigmoid(v) * (1 + v * (1 - sigmoid(v))) : v * sigmoid(v);
  },
  cases: [{ n: 1 }, { n: 77 }, { n: 77, GRAD: true }],
});

const sizeOf = ({ shape }: Tensor) => ({ n: shape.reduce((a, b) => a * b, 1) });
export const silu = defineOp('silu', {
  forward: (t, { x }: { x: Tensor }, _: object) => {
    return { out: { y: t.run(siluKernel, { x, dy: null }, sizeOf(x)).out.reshape(...x.shape) }, saved: x };
  },
  backward: (t, { y: dy }, x) => ({ x: t.run(siluKernel, { x, dy }, { ...sizeOf(x), GRAD: true }).out }),
});
