// Graphs as files, tensor by tensor, so that no more than one is in memory beside the weights: all in one file, or the weights in a second one, as
// protobuf ends at 2 GiB. https://github.com/onnx/onnx/blob/main/docs/ExternalData.md
import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { numel } from '../../engine/tensor.ts';
import { type Graph, type Initializer, WIDTH } from './graph.ts';
import {
  GraphProtoSchema,
  ModelProtoSchema,
  TensorProto_DataLocation as Location,
  TensorProto_DataType as Type,
  TensorProtoSchema,
} from './onnx_pb.js';

/** IR 8 carries opset 20, the first with Gelu. */
const IR_VERSION = 8n;
const OPSET = 20n;

/** Takes the bytes of a file, from the first to the last. */
export interface Sink {
  write(bytes: Uint8Array): Promise<void>;
}

export interface ModelInfo {
  readonly name: string;
  readonly description: string;
  /** Of Tesserae, from those who know it: browsers have no package.json to read. */
  readonly version?: string;
  /** metadata_props: what a user of the file must know beside it. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** A file of its own for the weights, and its name as the model gives it: relative to the model's folder. */
export interface External {
  readonly location: string;
  readonly sink: Sink;
}

/** Field numbers of onnx.proto. */
const GRAPH_OF_MODEL = 7;
const INITIALIZER_OF_GRAPH = 5;
const RAW_DATA_OF_TENSOR = 9;

/** External weights begin at multiples of this, so that a runtime can map them. */
const ALIGNMENT = 4096;
/** Smaller tensors stay in the model, where shape inference finds them. */
const LEAST_EXTERNAL = 1024;

const sizeOf = ({ shape, type }: Initializer): number => numel(shape) * WIDTH[type];

/** Of all tensors. */
export const weightBytes = (graph: Graph): number =>
  [...graph.initializers.values()].reduce((sum, each) => sum + sizeOf(each), 0);

/** What one file can hold, with room for the nodes. */
export const MOST_INLINE = 2 ** 31 - 2 ** 24;

/** Writes the model; with `external` large tensors go there. Returns the bytes written to each. */
export async function writeModel(
  graph: Graph,
  info: ModelInfo,
  sink: Sink,
  external?: External,
): Promise<{ model: number; external: number }> {
  const heads: { head: Uint8Array; inline: Initializer | null }[] = [];
  let at = 0;
  for (const each of graph.initializers.values()) {
    const length = sizeOf(each);
    if (!external || length < LEAST_EXTERNAL) {
      heads.push({ head: inlineHead(each, length), inline: each });
      continue;
    }
    const padding = -at & (ALIGNMENT - 1);
    if (padding) await external.sink.write(new Uint8Array(padding));
    at += padding;
    heads.push({ head: externalHead(each, external.location, at, length), inline: null });
    await external.sink.write(each.bytes());
    at += length;
  }
  const { nodes: node, inputs: input, outputs: output } = graph;
  const body = toBinary(GraphProtoSchema, create(GraphProtoSchema, { name: info.name, node, input, output }));
  const parts = heads.map(({ head, inline }) => {
    const length = head.length + (inline ? sizeOf(inline) : 0);
    return { opening: opened(INITIALIZER_OF_GRAPH, length), head, inline, length };
  });
  const graphBytes = parts.reduce((sum, { opening, length }) => sum + opening.length + length, body.length);
  const head = new BinaryWriter().raw(modelHead(info)).raw(opened(GRAPH_OF_MODEL, graphBytes)).raw(body).finish();
  await sink.write(head);
  for (const { opening, head: tensor, inline } of parts) {
    await sink.write(new BinaryWriter().raw(opening).raw(tensor).finish());
    if (inline) await sink.write(inline.bytes());
  }
  return { model: head.length - body.length + graphBytes, external: at };
}

/** The tag and length that come before the bytes of a field. */
const opened = (field: number, length: number): Uint8Array =>
  new BinaryWriter().tag(field, WireType.LengthDelimited).uint32(length).finish();

function modelHead({ description, version, metadata }: ModelInfo): Uint8Array {
  const model = create(ModelProtoSchema, {
    irVersion: IR_VERSION,
    opsetImport: [{ domain: '', version: OPSET }],
    producerName: 'tesserae',
    producerVersion: version ?? '',
    docString: description,
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
  });
  return toBinary(ModelProtoSchema, model);
}

const initOf = ({ name, shape, type }: Initializer) => ({
  name,
  dims: shape.map(BigInt),
  dataType: type === 'f32' ? Type.FLOAT : Type.INT64,
});

/** All of a tensor but its bytes, which follow. */
function inlineHead(each: Initializer, length: number): Uint8Array {
  return new BinaryWriter()
    .raw(toBinary(TensorProtoSchema, create(TensorProtoSchema, initOf(each))))
    .raw(opened(RAW_DATA_OF_TENSOR, length))
    .finish();
}

function externalHead(each: Initializer, location: string, offset: number, length: number): Uint8Array {
  const where = { location, offset: String(offset), length: String(length) };
  const externalData = Object.entries(where).map(([key, value]) => ({ key, value }));
  const tensor = create(TensorProtoSchema, { ...initOf(each), dataLocation: Location.EXTERNAL, externalData });
  return toBinary(TensorProtoSchema, tensor);
}
