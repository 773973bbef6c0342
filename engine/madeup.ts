// Variables of made-up numbers, in f16 too: what kernels are timed on.
import { random } from '../kernels/random/random.ts';
import type { Engine } from './engine.ts';
import { cast } from './ops/cast.ts';
import { type DType, type HostData, numel, type Shape, type Tensor, type Variable } from './tensor.ts';

export interface Wanted {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
  /** Where not any numbers do; what is shorter than the shape is repeated. */
  readonly data?: ArrayLike<number>;
}

/** By name; floats are a repeated stretch of N(0, 1), integers 0, unless given. */
export async function madeUp(engine: Engine, wanted: readonly Wanted[], seed = 0): Promise<Map<string, Variable>> {
  const variables = new Map<string, Variable>();
  const sources: Variable[] = [];
  const halves: [Variable, Variable][] = [];
  const source = (data: ArrayLike<number>, dtype: DType): Variable => {
    const whole = engine.variable('made up', [data.length], { data: Float32Array.from(data) });
    sources.push(whole);
    if (dtype === 'f32') return whole;
    const half = engine.variable('made up, f16', [data.length], { dtype });
    sources.push(half);
    halves.push([half, whole]);
    return half;
  };
  const drawn: Partial<Record<DType, Variable>> = {};
  const copies: [Variable, Variable][] = [];
  for (const { name, shape, dtype, data } of wanted) {
    const floats = dtype === 'f32' || dtype === 'f16';
    const variable = engine.variable(name, shape, { dtype, data: floats ? undefined : integers(dtype, shape, data) });
    if (floats) copies.push([data ? source(data, dtype) : (drawn[dtype] ??= source(normals(seed), dtype)), variable]);
    variables.set(name, variable);
  }
  if (halves.length) {
    const casting = engine.compile({}, (_, t) => {
      for (const [half, whole] of halves) t.store(half, cast(t, t.use(whole), 'f16'));
      return {} as Record<never, Tensor>;
    });
    await casting.run({});
  }
  await repeat(engine, copies);
  await engine.finish();
  for (const variable of sources) engine.release(variable);
  return variables;
}

/** Copied on the device: hundreds of megabytes take the host most of a second to draw and to hand over. */
async function repeat(engine: Engine, copies: readonly [Variable, Variable][]): Promise<void> {
  const { memory } = engine;
  const buffers = await memory.together(() =>
    copies.map(([from, to]) => [memory.slab(from.slab), memory.slab(to.slab), from.slab.bytes] as const),
  );
  const encoder = engine.device.gpu.createCommandEncoder();
  for (const [from, to, bytes] of buffers)
    for (let at = 0; at < to.size; at += bytes)
      encoder.copyBufferToBuffer(from, 0, to, at, Math.min(from.size, to.size - at));
  engine.device.gpu.queue.submit([encoder.finish()]);
}

/** Numbers that are drawn, and those that are copied at once. */
const [DRAWN, STRETCH] = [65536, 2 ** 20];

function normals(seed: number): Float32Array<ArrayBuffer> {
  const rng = random(2 + seed);
  const drawn = Float32Array.from({ length: DRAWN }, () => rng.normal());
  const data = new Float32Array(STRETCH);
  for (let at = 0; at < STRETCH; at += DRAWN) data.set(drawn, at);
  return data;
}

function integers(dtype: DType, shape: Shape, data: ArrayLike<number> = { length: numel(shape) }): HostData {
  return dtype === 'u32' ? Uint32Array.from(data) : Int32Array.from(data);
}
