// An ONNX graph under construction: nodes in the order in which they run, weights that are fetched only when the file is written.
import { create } from '@bufbuild/protobuf';
import { fail } from '../../engine/errors.ts';
import { numel } from '../../engine/tensor.ts';
import {
  type AttributeProto,
  AttributeProto_AttributeType as Kind,
  AttributeProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  TensorProto_DataType as Type,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from './onnx_pb.js';

/** A tensor of the file. `bytes` is called once, when it is its turn to be written. */
export interface Initializer {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: 'f32' | 'i64';
  readonly bytes: () => Uint8Array;
}

/** The name of a value, as nodes refer to it. */
export type Value = string;

/** A size, or the name of one that every run may choose anew. */
type Dim = number | string;

type Attribute = number | readonly number[] | { readonly float: number } | string;

const ELEMENT = { f32: Type.FLOAT, i64: Type.INT64 } as const;
export const WIDTH = { f32: 4, i64: 8 } as const;

export class Graph {
  readonly nodes: NodeProto[] = [];
  readonly inputs: ValueInfoProto[] = [];
  readonly outputs: ValueInfoProto[] = [];
  readonly initializers = new Map<string, Initializer>();
  readonly #weights: ReadonlyMap<string, Float32Array>;
  readonly #names = new Set<string>();
  #scope = '';

  /** `weights` by the names of the state dict. */
  constructor(weights: ReadonlyMap<string, Float32Array>) {
    this.#weights = weights;
  }

  /** What runs when the graph does, named after the part of the model that it belongs to. */
  within<T>(scope: string, body: () => T): T {
    const outer = this.#scope;
    this.#scope = outer ? `${outer}/${scope}` : scope;
    try {
      return body();
    } finally {
      this.#scope = outer;
    }
  }

  /** Adds a node; gives the names of its results. A `name` in place of a number of results names the only one. */
  node(
    op: string,
    inputs: readonly Value[],
    attributes: Readonly<Record<string, Attribute>> = {},
    results: number | string = 1,
  ): Value[] {
    const name = this.#unused(this.#scope ? `${this.#scope}/${op}` : op);
    const many = results === 1 ? [name] : Array.from({ length: Number(results) }, (_, i) => `${name}.${i}`);
    const output = typeof results === 'string' ? [results] : many;
    const attribute = Object.entries(attributes).map(([key, value]) => attributeOf(key, value));
    this.nodes.push(create(NodeProtoSchema, { name, opType: op, input: [...inputs], output, attribute }));
    return output;
  }

  /** A node of one result. */
  one(op: string, inputs: readonly Value[], attributes: Readonly<Record<string, Attribute>> = {}): Value {
    return this.node(op, inputs, attributes)[0];
  }

  input(name: string, type: keyof typeof ELEMENT, shape: readonly Dim[], docString: string): Value {
    this.inputs.push(valueInfo(name, type, shape, docString));
    return name;
  }

  /** Lets `value` leave the graph under a name of its own. */
  output(name: string, value: Value, type: keyof typeof ELEMENT, shape: readonly Dim[], docString: string): void {
    this.node('Identity', [value], {}, name);
    this.outputs.push(valueInfo(name, type, shape, docString));
  }

  /** A tensor of the state dict as it is. */
  weight(name: string, ...shape: number[]): Value {
    const data = this.#data(name, shape);
    return this.#initializer({ name, shape, type: 'f32', bytes: () => bytesOf(data) });
  }

  /** A matrix (rows, columns) of the state dict, transposed: `name.T` (columns, rows). */
  transposed(name: string, rows: number, columns: number): Value {
    const data = this.#data(name, [rows, columns]);
    const bytes = () => bytesOf(transpose(data, rows, columns));
    return this.#initializer({ name: `${name}.T`, shape: [columns, rows], type: 'f32', bytes });
  }

  /** A vector of whole numbers: shapes, axes. Equal ones are one tensor. */
  integers(...values: number[]): Value {
    const bytes = () => bytesOf(BigInt64Array.from(values, BigInt));
    return this.#initializer({ name: `int64[${values}]`, shape: [values.length], type: 'i64', bytes });
  }

  /** One whole number without an axis. */
  integer(value: number): Value {
    const bytes = () => bytesOf(BigInt64Array.of(BigInt(value)));
    return this.#initializer({ name: `int64 ${value}`, shape: [], type: 'i64', bytes });
  }

  /** One real number without an axis. */
  real(value: number): Value {
    return this.#initializer({
      name: `float ${value}`,
      shape: [],
      type: 'f32',
      bytes: () => bytesOf(Float32Array.of(value)),
    });
  }

  #data(name: string, shape: readonly number[]): Float32Array {
    const data = this.#weights.get(name) ?? fail(`onnx: the weights lack ${name}`);
    if (data.length !== numel(shape))
      fail(`onnx: ${name} must have ${numel(shape)} elements for (${shape.join(', ')}), got ${data.length}`);
    return data;
  }

  #initializer(made: Initializer): Value {
    if (!this.initializers.has(made.name)) this.initializers.set(made.name, made);
    return made.name;
  }

  #unused(name: string): string {
    let free = name;
    for (let n = 2; this.#names.has(free); n++) free = `${name}.${n}`;
    this.#names.add(free);
    return free;
  }
}

function attributeOf(name: string, value: Attribute): AttributeProto {
  if (typeof value === 'number') return create(AttributeProtoSchema, { name, type: Kind.INT, i: BigInt(value) });
  if (typeof value === 'string')
    return create(AttributeProtoSchema, { name, type: Kind.STRING, s: new TextEncoder().encode(value) });
  if ('float' in value) return create(AttributeProtoSchema, { name, type: Kind.FLOAT, f: value.float });
  return create(AttributeProtoSchema, { name, type: Kind.INTS, ints: value.map(BigInt) });
}

function valueInfo(name: string, type: keyof typeof ELEMENT, shape: readonly Dim[], docString: string): ValueInfoProto {
  const dim = shape.map((size) => ({
    value:
      typeof size === 'number'
        ? { case: 'dimValue' as const, value: BigInt(size) }
        : { case: 'dimParam' as const, value: size },
  }));
  const value = { elemType: ELEMENT[type], shape: { dim } };
  return create(ValueInfoProtoSchema, { name, docString, type: { value: { case: 'tensorType', value } } });
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

function transpose(data: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = data[r * columns + c];
  return out;
}
