// Named parameters packed into a few flat slabs, so that one dispatch updates them all.
import { fail, shapeText } from './errors.ts';
import type { Engine } from './engine.ts';
import { checkShape, numel, type Shape, Slab, Variable } from './tensor.ts';

/** A parameter: its name in checkpoints, and its shape. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: Shape;
  /** Default true; others (fixed position embeddings) get no gradient. */
  readonly trainable?: boolean;
}

/** Elements between which a parameter may start: bindings start at multiples of 256 bytes, of f16 copies too. */
export const CHUNK = 128;

/** Variables of a model by name, packed so that optimizers update all of them by one dispatch. */
export class Parameters {
  readonly engine: Engine;
  /** In the order of their specs. */
  readonly variables: ReadonlyMap<string, Variable>;
  /** Trained ones first; each is one buffer. */
  readonly slabs: readonly Slab[];

  /** `label` begins the slabs' names. @throws where a parameter is larger than the device binds */
  constructor(engine: Engine, label: string, specs: readonly ParameterSpec[]) {
    this.engine = engine;
    // A slab is bound as a whole, and is 1 GiB at most.
    const { maxStorageBufferBindingSize, maxBufferSize } = engine.device.gpu.limits;
    const limit = Math.min(Math.floor(Math.min(maxStorageBufferBindingSize, maxBufferSize) / 4), 2 ** 28);
    const names = new Set<string>();
    for (const { name, shape } of specs) {
      checkShape(`parameters: ${name}`, shape);
      if (names.has(name)) fail(`parameters: there are two called ${name}`);
      names.add(name);
    }
    const variables = new Map<string, Variable>();
    const slabs: Slab[] = [];
    for (const trainable of [true, false]) {
      for (const group of pack(
        specs.filter(({ trainable: wanted = true }) => wanted === trainable),
        limit,
      )) {
        const slab = new Slab(`${label} ${slabs.length}`, 'f32', group.length);
        slabs.push(slab);
        for (const { spec, offset } of group.members) {
          variables.set(spec.name, new Variable(spec.name, spec.shape, slab, offset, trainable));
        }
      }
    }
    this.slabs = slabs;
    this.variables = new Map(specs.map((s) => [s.name, variables.get(s.name) as Variable]));
  }

  /** @throws where there is none of this name */
  get(name: string): Variable {
    return this.variables.get(name) ?? fail(`parameters: there is no parameter ${name}`);
  }

  /** Those that get gradients, in the order of their specs. */
  get trainable(): Variable[] {
    return [...this.variables.values()].filter((v) => v.trainable);
  }

  /** Slabs of the same layout for something kept per parameter: a moment, or its gradient, whose slabs lend what is written anew. */
  mirror(label: string, { lends = false } = {}): Map<Variable, Variable> {
    const slabs = new Map(this.slabs.map((s) => [s, new Slab(`${label} of ${s.label}`, 'f32', s.length, { lends })]));
    return new Map(
      this.trainable.map((v) => [
        v,
        new Variable(`${label}.${v.name}`, v.shape, slabs.get(v.slab) as Slab, v.offset, false),
      ]),
    );
  }

  /** Uploads values by name; every parameter must be there with its shape. */
  load(values: ReadonlyMap<string, Float32Array>): void {
    for (const [name, variable] of this.variables) {
      const data = values.get(name) ?? fail(`load: ${name} ${shapeText(variable.shape)} is missing`);
      this.engine.write(variable, data);
    }
  }

  /** Reads every parameter back, by name. */
  async read(): Promise<Map<string, Float32Array>> {
    return readVariables(this.engine, this.variables);
  }
}

/** Reads variables that share slabs with one copy a slab. */
export async function readVariables(
  engine: Engine,
  variables: ReadonlyMap<string, Variable>,
): Promise<Map<string, Float32Array>> {
  const slabs = new Map<Slab, Float32Array>();
  const result = new Map<string, Float32Array>();
  for (const [name, v] of variables) {
    let data = slabs.get(v.slab);
    if (!data) {
      data = new Float32Array(await engine.memory.read(engine.memory.slab(v.slab), 0, v.slab.length * 4));
      slabs.set(v.slab, data);
    }
    result.set(name, data.slice(v.offset, v.offset + numel(v.shape)));
  }
  return result;
}

function pack(
  specs: readonly ParameterSpec[],
  limit: number,
): { length: number; members: { spec: ParameterSpec; offset: number }[] }[] {
  const groups: ReturnType<typeof pack> = [];
  for (const spec of specs) {
    const size = Math.ceil(numel(spec.shape) / CHUNK) * CHUNK;
    if (size > limit)
      fail(`parameters: ${spec.name} has ${numel(spec.shape)} elements, this device binds ${limit} at most`);
    let group = groups.at(-1);
    if (!group || group.length + size > limit) groups.push((group = { length: 0, members: [] }));
    group.members.push({ spec, offset: group.length });
    group.length += size;
  }
  return groups;
}
