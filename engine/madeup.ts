// Variables of made-up numbers, in f16 too: what kernels are timed on.
import { random } from '../kernels/random/random.ts';
import type { Engine } from './engine.ts';
import { cast } from './ops/cast.ts';
import { type DType, type HostData, numel, type Shape, type Tensor, type Variable } from './tensor.ts';

export interface Wanted {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
  /** Where not any numbers do. */
  readonly data?: ArrayLike<number>;
}

/** By name; floats are a repeated stretch of N(0, 1), integers 0, unless given. */
export async function madeUp(engine: Engine, wanted: readonly Wanted[], seed = 0): Promise<Map<string, Variable>> {
  const variables = new Map<string, Variable>();
  const halves: [Variable, Variable][] = [];
  for (const { name, shape, dtype, data: given } of wanted) {
    const data = numbers(dtype, numel(shape), given, seed);
    const variable = engine.variable(name, shape, dtype === 'f16' ? { dtype } : { dtype, data });
    if (dtype === 'f16') halves.push([variable, engine.variable(`${name} in f32`, shape, { data })]);
    variables.set(name, variable);
  }
  if (halves.length) {
    const casting = engine.compile({}, (_, t) => {
      for (const [half, whole] of halves) t.store(half, cast(t, t.use(whole), 'f16'));
      return {} as Record<never, Tensor>;
    });
    await casting.run({});
    await engine.finish();
  }
  return variables;
}

const PATTERN = 65536;

function numbers(dtype: DType, n: number, given: ArrayLike<number> | undefined, seed: number): HostData {
  if (dtype === 'u32') return given ? Uint32Array.from(given) : new Uint32Array(n);
  if (dtype === 'i32') return given ? Int32Array.from(given) : new Int32Array(n);
  if (given) return Float32Array.from(given);
  const rng = random(2 + seed);
  const pattern = Float32Array.from({ length: Math.min(n, PATTERN) }, () => rng.normal());
  const data = new Float32Array(n);
  for (let at = 0; at < n; at += PATTERN) data.set(pattern.subarray(0, Math.min(PATTERN, n - at)), at);
  return data;
}
