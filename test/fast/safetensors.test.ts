// Safetensors: what is written comes back, in the official layout, and an independent writer's files are read.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { xxh32 } from '../../engine/checksum.ts';
import { DTYPE_BYTES, type Dtype, type RawTensor, rawTensor, toFloat32, viewAs } from '../../engine/rawtensor.ts';
import { parseSafetensors, readHeader, readTensor } from '../../engine/safetensors.ts';
import { SafetensorsError } from '../../engine/safetensors-format.ts';
import { writeSafetensors } from '../../engine/safetensors-write.ts';
import { goldenCases } from '../support/golden.ts';
import { join, raw, source, utf8 } from '../support/safetensors-raw.ts';

const dtypes = Object.keys(DTYPE_BYTES) as Dtype[];
const anyTensor: fc.Arbitrary<RawTensor> = fc
  .tuple(fc.constantFrom(...dtypes), fc.array(fc.nat(5), { maxLength: 4 }))
  .chain(([dtype, shape]) => {
    const bytes = shape.reduce((product, size) => product * size, DTYPE_BYTES[dtype] as number);
    return fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((data) => ({ dtype, shape, data }));
  });
const anyName = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('__proto__', 'constructor', 'toString', '', '7', '"', '\\', '\n', 'é', '🙂'),
);
const anyTensors = fc
  .dictionary(
    anyName.filter((name) => name !== '__metadata__'),
    anyTensor,
    { maxKeys: 8 },
  )
  .map(Object.entries<RawTensor>);
const anyMetadata = fc.dictionary(anyName, fc.string({ unit: 'grapheme' }), { maxKeys: 4 });

test('xxh32 gives the values of the reference implementation', () => {
  assert.is(xxh32(utf8('')), 0x02cc5d05);
  assert.is(xxh32(utf8('a')), 0x550d7456);
  assert.is(xxh32(utf8('abc')), 0x32d153ff);
  assert.is(xxh32(utf8('Nobody inspects the spammish repetition')), 0xe2293b2f);
  const misaligned = utf8('-Nobody inspects the spammish repetition').subarray(1);
  assert.is(xxh32(misaligned), 0xe2293b2f);
});

test('what is written comes back, whole or tensor by tensor, in aligned places', async () => {
  await fc.assert(
    fc.asyncProperty(anyTensors, anyMetadata, async (tensors, metadata) => {
      const bytes = join(writeSafetensors(tensors, metadata));
      assert.equal(bytes, join(writeSafetensors(tensors, metadata)), 'same arguments, same bytes');
      const file = parseSafetensors(bytes, { requireChecksums: true });
      assert.equal(new Map([...file.tensors].sort()), new Map([...tensors].sort()));
      assert.equal(new Map([...file.metadata].sort()), new Map(Object.entries(metadata).sort()));
      assert.equal(bytes, join(writeSafetensors(file.tensors, new Map(Object.entries(metadata)))));
      const header = await readHeader(source(bytes), { requireChecksums: true });
      assert.equal([...header.tensors.keys()], [...file.tensors.keys()]);
      for (const [name, info] of header.tensors) {
        assert.equal(await readTensor(source(bytes), info), file.tensors.get(name));
        assert.is(info.offset % DTYPE_BYTES[info.dtype], 0);
      }
    }),
  );
});

test('the bytes are those of the format, and order and checksums are not needed to read it', () => {
  const file = join(writeSafetensors([['a', rawTensor('F32', [2, 1], Float32Array.of(1, -2))]], { note: 'x' }));
  const length = Number(new DataView(file.buffer).getBigUint64(0, true));
  assert.is(length % 8, 0);
  const header = JSON.parse(Buffer.from(file.subarray(8, 8 + length)).toString());
  assert.equal(header.a, { dtype: 'F32', shape: [2, 1], data_offsets: [0, 8] });
  assert.is(header.__metadata__.note, 'x');
  assert.equal([...file.subarray(8 + length)], [0, 0, 128, 63, 0, 0, 0, 192]);

  // Header order against data order, an empty tensor, padding in front of nothing, unknown fields.
  const foreign = raw(
    '{"b":{"dtype":"U8","shape":[3],"data_offsets":[4,7]},"e":{"shape":[0,9],"dtype":"F64","data_offsets":[4,4]},' +
      '"a":{"dtype":"F32","shape":[],"data_offsets":[0,4],"extra":[1]}}   ',
    7,
  );
  assert.equal([...parseSafetensors(foreign).tensors.keys()], ['a', 'e', 'b']);
  assert.is(parseSafetensors(raw('{}')).tensors.size, 0);
  assert.throws(() => parseSafetensors(foreign, { requireChecksums: true }), /has no "checksums.xxh32"/);
});

test('checksums hold when another tool lays the tensors out anew and reorders the header', () => {
  const tensors: [string, RawTensor][] = [
    ['b', rawTensor('F32', [2], Float32Array.of(1, 2))],
    ['a', rawTensor('F32', [1], Float32Array.of(3))],
  ];
  const file = join(writeSafetensors(tensors, { k: 'v', j: 'w' }));
  const length = Number(new DataView(file.buffer).getBigUint64(0, true));
  const { __metadata__, a, b } = JSON.parse(Buffer.from(file.subarray(8, 8 + length)).toString());
  const other = raw(
    {
      a: { ...a, data_offsets: [0, 4] },
      b: { ...b, data_offsets: [4, 12] },
      __metadata__: Object.fromEntries(Object.entries(__metadata__).reverse()),
    },
    12,
  );
  other.set(file.subarray(8 + length + 8), other.length - 12);
  other.set(file.subarray(8 + length, 8 + length + 8), other.length - 8);
  assert.equal(
    viewAs(parseSafetensors(other, { requireChecksums: true }).tensors.get('b')!, 'F32'),
    Float32Array.of(1, 2),
  );
});
test('the writer refuses what would not come back', () => {
  const one = rawTensor('U8', [1], Uint8Array.of(1));
  const refused = (tensors: [string, RawTensor][], message: RegExp, metadata: Record<string, string> = {}) =>
    assert.throws(
      () => writeSafetensors(tensors, metadata),
      (error: unknown) => error instanceof SafetensorsError && message.test(error.message),
    );
  refused(
    [
      ['a', one],
      ['a', one],
    ],
    /"a" is taken/,
  );
  refused([['__metadata__', one]], /is taken/);
  refused([['a\ud800', one]], /surrogate/);
  refused([['a', { ...one, shape: [2] }]], /U8 \(2\) needs 2 bytes, got 1/);
  refused([['a', { ...one, shape: [-1] }]], /must be sizes/);
  refused([['a', { ...one, dtype: 'F8' as Dtype }]], /unknown dtype "F8"/);
  refused([['a', one]], /must be a string, got number/, { a: 1 as unknown as string });
  refused([['a', one]], /writer's own/, { 'checksums.xxh32': '' });
});

test('views show the elements at any alignment, and halves convert exactly', () => {
  const bytes = new Uint8Array(1 + 8);
  bytes.set(new Uint8Array(Float32Array.of(1.5, -0.25).buffer), 1);
  assert.equal(viewAs({ dtype: 'F32', shape: [2], data: bytes.subarray(1) }, 'F32'), Float32Array.of(1.5, -0.25));
  assert.throws(() => viewAs(rawTensor('I32', [1], Int32Array.of(1)), 'F32'), /is I32, asked for F32/);
  assert.throws(() => rawTensor('F32', [3], new Float32Array(2)), /needs 12 bytes, the array has 8/);
  assert.throws(
    () => rawTensor('F32', [2], new Int32Array(2) as unknown as Float32Array),
    /from a Float32Array, got a Int32Array/,
  );
  assert.throws(() => toFloat32(rawTensor('I32', [1], Int32Array.of(1))), /I32 is no floating-point/);
  assert.equal(toFloat32(rawTensor('F64', [2], Float64Array.of(0.1, -1e-310))), Float32Array.of(0.1, -0));

  // All 65,536 halves against the definitions: sign, exponent, mantissa.
  const halves = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const f16 = toFloat32(rawTensor('F16', [65536], halves));
  const bf16 = toFloat32(rawTensor('BF16', [65536], halves));
  const value = (half: number, mantissaBits: number, bias: number): number => {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half & 0x7fff) >> mantissaBits;
    const fraction = (half & (2 ** mantissaBits - 1)) / 2 ** mantissaBits;
    if (exponent === 2 * bias + 1) return fraction === 0 ? sign * Infinity : NaN;
    return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias));
  };
  for (let half = 0; half < 65536; half++) {
    assert.ok(Object.is(f16[half], value(half, 10, 15)), `f16 ${half}: ${f16[half]}`);
    assert.ok(Object.is(bf16[half], value(half, 7, 127)), `bf16 ${half}: ${bf16[half]}`);
  }
});

for (const { name, path } of goldenCases) {
  test(`an independent writer's file: ${name}`, async () => {
    const bytes = new Uint8Array(readFileSync(path));
    const { tensors, metadata } = parseSafetensors(bytes);
    const { summary, config } = JSON.parse(readFileSync(path.replace(/safetensors$/, 'json'), 'utf8'));
    assert.is(tensors.size, summary.tensors);
    assert.is(bytes.length, summary.bytes);
    assert.is(JSON.parse(metadata.get('config')!).dim, config.dim);
    assert.is(viewAs(tensors.get('loss')!, 'F32')[0], Math.fround(summary.loss));
    assert.equal(viewAs(tensors.get('train.loss')!, 'F32'), Float32Array.from(summary.train_loss));
    const restored = viewAs(tensors.get('ids_restore')!, 'I32').slice(0, tensors.get('ids_restore')!.shape[1]);
    assert.equal(
      [...restored].sort((a, b) => a - b),
      [...restored.keys()],
    );
    const header = await readHeader(source(bytes));
    for (const [key, info] of header.tensors) assert.equal(await readTensor(source(bytes), info), tensors.get(key));
    const again = parseSafetensors(join(writeSafetensors(tensors, metadata)), { requireChecksums: true });
    for (const [key, tensor] of tensors) assert.equal(again.tensors.get(key), tensor);
    assert.equal([...again.metadata], [...metadata]);
  });
}

test.run();
