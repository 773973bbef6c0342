// ONNX Runtime's native provider for WebGPU or for the CPU (first argument), attention fused or not (second). Its graphs take and give host memory, so what
// can lie on the device as a weight does, and timed graphs give back one row: it is not charged for moving matrices.
import { requirePeer, version } from './packages.ts';
import { serve, Unable } from './serve.ts';

const [, , provider, attention] = process.argv;
const unfused = attention === 'unfused';
const ort = requirePeer('onnxruntime-node');
const { onnx } = requirePeer('onnx-proto');
const FLOAT = onnx.TensorProto.DataType.FLOAT;
const INT64 = onnx.TensorProto.DataType.INT64;
/** The first opset with LayerNormalization. */
const OPSET = 17;

const sessionOptions = {
  executionProviders: [provider],
  graphOptimizationLevel: 'all',
  logSeverityLevel: 3,
};

const floats = (name, { data, shape }) =>
  onnx.TensorProto.create({ name, dims: shape, dataType: FLOAT, rawData: new Uint8Array(data.buffer) });
const integers = (name, ...values) =>
  onnx.TensorProto.create({
    name,
    dims: [values.length],
    dataType: INT64,
    rawData: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
  });
const value = (name, shape) =>
  onnx.ValueInfoProto.create({
    name,
    type: { tensorType: { elemType: FLOAT, shape: { dim: shape.map((n) => ({ dimValue: n })) } } },
  });
const INT = onnx.AttributeProto.AttributeType.INT;
const REAL = onnx.AttributeProto.AttributeType.FLOAT;

/**
 * A graph whose result `y` has `shape`.
 * @param fed name and array of what is handed over at every run; `weights` lie on the device
 * @param whole gives all of y, else its first row
 */
function model({ nodes, fed, weights, shape }, whole) {
  const node = nodes.map((each) => onnx.NodeProto.create({ output: ['y'], ...each }));
  const initializer = Object.entries(weights).map(([name, array]) => floats(name, array));
  let output = value('y', shape);
  if (!whole) {
    initializer.push(integers('start', 0), integers('end', 1), integers('axis', shape.length - 2));
    node.push(onnx.NodeProto.create({ opType: 'Slice', input: ['y', 'start', 'end', 'axis'], output: ['row'] }));
    output = value('row', [...shape.slice(0, -2), 1, ...shape.slice(-1)]);
  }
  const input = Object.entries(fed).map(([name, array]) => value(name, [...array.shape]));
  const proto = onnx.ModelProto.create({
    irVersion: 8,
    opsetImport: [
      { domain: '', version: OPSET },
      { domain: 'com.microsoft', version: 1 },
    ],
    graph: { name: 'work', node, initializer, input, output: [output] },
  });
  return onnx.ModelProto.encode(proto).finish();
}

/** What to build for a piece of work; the smallest array that keeps the graph from being folded is fed. */
function graph(work, inputs) {
  const { a, b, x, w } = inputs;
  if (work.kind === 'gemm') {
    const nodes = [{ opType: 'MatMul', input: ['a', 'b'] }];
    return { nodes, fed: { a }, weights: { b }, shape: [work.m, work.n] };
  }
  if (work.kind === 'layernorm') {
    const attribute = [
      { name: 'axis', type: INT, i: -1 },
      { name: 'epsilon', type: REAL, f: work.eps },
    ];
    const nodes = [{ opType: 'LayerNormalization', input: ['x', 'w', 'b'], attribute }];
    return { nodes, fed: { w, b }, weights: { x }, shape: [work.rows, work.cols] };
  }
  if (work.kind !== 'attention') throw new Unable('it runs graphs and does not train');
  return unfused ? plainAttention(work, inputs) : fusedAttention(work, inputs);
}

function fusedAttention({ batch, tokens, heads, dim }, { q, k, v }) {
  const shape = [batch, tokens, heads * dim];
  const flat = ({ data }) => ({ data, shape });
  const attribute = [{ name: 'num_heads', type: INT, i: heads }];
  const nodes = [{ opType: 'MultiHeadAttention', domain: 'com.microsoft', input: ['q', 'k', 'v'], attribute }];
  return { nodes, fed: { q: flat(q) }, weights: { k: flat(k), v: flat(v) }, shape };
}

/** Two products and a softmax, on (batch, heads, tokens, dim). */
function plainAttention({ batch, tokens, heads, dim }, { q, k, v }) {
  const shape = [batch, heads, tokens, dim];
  const nodes = [
    { opType: 'MatMul', input: ['q', 'kT'], output: ['scores'] },
    { opType: 'Mul', input: ['scores', 'scale'], output: ['scaled'] },
    { opType: 'Softmax', input: ['scaled'], output: ['p'], attribute: [{ name: 'axis', type: INT, i: -1 }] },
    { opType: 'MatMul', input: ['p', 'v'] },
  ];
  const weights = {
    kT: { data: permuted(k, [0, 2, 3, 1]), shape: [batch, heads, dim, tokens] },
    v: { data: permuted(v, [0, 2, 1, 3]), shape },
    scale: { data: Float32Array.of(dim ** -0.5), shape: [] },
  };
  const arrange = (y) => permuted({ data: y, shape }, [0, 2, 1, 3]);
  return { nodes, fed: { q: { data: permuted(q, [0, 2, 1, 3]), shape } }, weights, shape, arrange };
}

/** An array of four dimensions with these in another order. */
function permuted({ data, shape }, order) {
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((n, d) => n * d, 1));
  const [n0, n1, n2, n3] = order.map((i) => shape[i]);
  const [s0, s1, s2, s3] = order.map((i) => strides[i]);
  const result = new Float32Array(data.length);
  let at = 0;
  for (let i = 0; i < n0; i++)
    for (let j = 0; j < n1; j++)
      for (let k = 0; k < n2; k++) for (let l = 0; l < n3; l++) result[at++] = data[i * s0 + j * s1 + k * s2 + l * s3];
  return result;
}

serve({
  hello: async () => ({
    version: `onnxruntime-node ${version('onnxruntime-node')}`,
    device: provider === 'cpu' ? 'CPU, all cores' : 'the adapter that its own Dawn takes',
  }),
  prepare: async (work, inputs) => {
    const built = graph(work, inputs);
    const session = await ort.InferenceSession.create(model(built, false), sessionOptions);
    const feeds = Object.fromEntries(
      Object.entries(built.fed).map(([name, { data, shape }]) => [name, new ort.Tensor('float32', data, [...shape])]),
    );
    return {
      run: async (times) => {
        for (let i = 0; i < times; i++) await session.run(feeds);
      },
      read: async () => {
        const whole = await ort.InferenceSession.create(model(built, true), sessionOptions);
        const { y } = await whole.run(feeds);
        await whole.release();
        return built.arrange?.(y.data) ?? y.data;
      },
      dispose: () => void session.release(),
    };
  },
});
