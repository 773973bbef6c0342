// Safetensors as hostile or damaged input: every attack gets a typed error, and no flipped bit passes for data.
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DTYPE_BYTES, type RawTensor, rawTensor } from '../../engine/rawtensor.ts';
import { parseSafetensors, readHeader, readTensor } from '../../engine/safetensors.ts';
import { SafetensorsError } from '../../engine/safetensors-format.ts';
import { writeSafetensors } from '../../engine/safetensors-write.ts';
import { join, raw, source } from '../support/safetensors-raw.ts';

const entry = (begin: number, end: number, shape: unknown = [end - begin], dtype: unknown = 'U8') => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});
const attacks: [string, Uint8Array, RegExp][] = [
  ['empty file', new Uint8Array(0), /0 bytes are no safetensors/],
  ['seven bytes', new Uint8Array(7), /7 bytes are no safetensors/],
  ['header over the cap', raw('{}', 0, 100_000_001n), /100000001 is over the cap of 100000000/],
  ['header length 2^64 - 1', raw('{}', 0, 2n ** 64n - 1n), /over the cap/],
  ['header past the file', raw('{}', 0, 99n), /header length 99 passes the end of the file of 10 bytes/],
  ['no header', raw(''), /not JSON/],
  ['not JSON', raw('{"a":'), /not JSON/],
  ['not UTF-8', raw(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d)), /not UTF-8/],
  ['byte order mark', raw('\ufeff{}'), /not JSON/],
  ['an array', raw('[]'), /must be a JSON object/],
  ['null', raw('null'), /must be a JSON object/],
  [
    'key twice',
    raw(
      '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
    ),
    /has key "a" twice/,
  ],
  ['shape twice', raw('{"a":{"dtype":"U8","shape":[1],"shape":[0],"data_offsets":[0,0]}}'), /"shape" twice/],
  ['deep nesting', raw('{"a":'.repeat(100_000)), /deeper than 3/],
  ['deep arrays', raw('['.repeat(1_000_000)), /deeper than 3/],
  ['entry is a number', raw({ a: 1 }), /"a" must be an object/],
  ['entry is a list', raw({ a: [] }), /"a" must be an object/],
  ['unknown dtype', raw({ a: entry(0, 1, [1], 'F8') }, 1), /"a" has unknown dtype "F8"/],
  ['inherited dtype', raw({ a: entry(0, 1, [1], 'toString') }, 1), /unknown dtype "toString"/],
  ['dtype is a list', raw({ a: entry(0, 1, [1], ['U8']) }, 1), /unknown dtype \["U8"\]/],
  ['no dtype', raw('{"a":{"shape":[1],"data_offsets":[0,1]}}', 1), /unknown dtype/],
  ['no shape', raw('{"a":{"dtype":"U8","data_offsets":[0,1]}}', 1), /shape undefined/],
  ['no offsets', raw('{"a":{"dtype":"U8","shape":[1]}}', 1), /data_offsets undefined/],
  ['negative size', raw({ a: entry(0, 1, [-1]) }, 1), /shape \[-1\]/],
  ['two negative sizes', raw({ a: entry(0, 1, [-1, -1]) }, 1), /shape \[-1,-1\]/],
  ['minus zero', raw('{"a":{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}}'), /shape/],
  ['fractional size', raw({ a: entry(0, 1, [0.5, 2]) }, 1), /shape \[0.5,2\]/],
  ['size in a string', raw({ a: entry(0, 1, ['1']) }, 1), /shape \["1"\]/],
  ['size null', raw({ a: entry(0, 1, [null]) }, 1), /shape \[null\]/],
  ['size NaN', raw('{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,1]}}', 1), /not JSON/],
  ['size infinite', raw('{"a":{"dtype":"U8","shape":[1e999],"data_offsets":[0,1]}}', 1), /shape/],
  ['product 2^64', raw({ a: entry(0, 0, [2 ** 32, 2 ** 32]) }), /product is below/],
  ['overflow before a zero', raw({ a: entry(0, 0, [2 ** 40, 2 ** 40, 0]) }), /product is below/],
  ['bytes overflow', raw({ a: entry(0, 0, [2 ** 51], 'F64') }), /product is below/],
  ['shape is a number', raw({ a: entry(0, 1, 1) }, 1), /shape 1 must be sizes/],
  ['three offsets', raw({ a: { dtype: 'U8', shape: [1], data_offsets: [0, 1, 2] } }, 1), /a begin and an end/],
  ['negative offset', raw({ a: entry(-1, 0, [1]) }, 1), /a begin and an end/],
  ['offsets reversed', raw({ a: entry(2, 1, [1]) }, 2), /a begin and an end/],
  ['fractional offset', raw({ a: entry(0.5, 1.5, [1]) }, 2), /a begin and an end/],
  [
    'offset over 2^53',
    raw('{"a":{"dtype":"U8","shape":[1],"data_offsets":[9007199254740992,9007199254740993]}}', 1),
    /a begin and an end/,
  ],
  [
    'shape against offsets',
    raw({ a: entry(0, 4, [2, 1], 'F32') }, 4),
    /F32 \[2,1\] needs 8 bytes, data_offsets span 4/,
  ],
  ['out of bounds', raw({ a: entry(0, 9) }, 8), /ends at byte \d+, the file has \d+/],
  ['far out of bounds', raw({ a: entry(0, 2 ** 53 - 1) }, 8), /ends at byte/],
  ['overlap', raw({ a: entry(0, 4), b: entry(2, 6) }, 6), /"b" overlaps the one before by 2 bytes/],
  ['the same bytes twice', raw({ a: entry(0, 4), b: entry(0, 4) }, 4), /overlaps the one before by 4/],
  ['hole', raw({ a: entry(0, 2), b: entry(4, 6) }, 6), /a hole of 2 bytes before tensor "b"/],
  ['hole in front', raw({ a: entry(1, 2) }, 2), /a hole of 1 bytes/],
  ['empty tensor in a hole', raw({ a: entry(0, 2), b: entry(3, 3) }, 3), /a hole of 1 bytes/],
  ['trailing bytes', raw({ a: entry(0, 2) }, 5), /3 bytes follow the last tensor/],
  ['trailing bytes, no tensor', raw({}, 5), /5 bytes follow/],
  ['metadata a list', raw({ __metadata__: ['a'] }), /__metadata__ must be an object/],
  ['metadata number', raw({ __metadata__: { a: 1 } }), /metadata "a" must be a string/],
  ['checksums unreadable', raw({ __metadata__: { 'checksums.xxh32': '{' } }), /"checksums.xxh32" is unreadable/],
  [
    'checksums made up',
    raw({ __metadata__: { 'checksums.xxh32': '{"header":"00000000","tensors":{}}' } }),
    /header is damaged/,
  ],
  [
    'checksum of no tensor',
    raw({ __metadata__: { 'checksums.xxh32': '{"header":"00000000","tensors":{"a":"0"}}' } }),
    /header is damaged/,
  ],
];

for (const [name, bytes, message] of attacks) {
  test(`refused: ${name}`, async () => {
    const typed = (error: unknown) => {
      assert.instance(error, SafetensorsError);
      assert.match((error as Error).message, /^safetensors: /);
      assert.match((error as Error).message, message);
      assert.ok((error as Error).message.length < 400);
      return true;
    };
    assert.throws(() => parseSafetensors(bytes), typed);
    const lazy = await readHeader(source(bytes, 'a/b.safetensors')).catch((error: unknown) => error as Error);
    typed(lazy instanceof Error && Object.assign(lazy, { message: lazy.message.replace('a/b.safetensors: ', '') }));
  });
}

test('names of Object.prototype are ordinary names', () => {
  const names = ['__proto__', 'constructor', 'hasOwnProperty', 'toString'];
  const tensor = rawTensor('U8', [1], Uint8Array.of(7));
  const metadata = new Map(names.map((name) => [name, 'text']));
  const file = parseSafetensors(
    join(
      writeSafetensors(
        names.map((name) => [name, tensor] as const),
        metadata,
      ),
    ),
  );
  assert.equal([...file.tensors.keys()].sort(), [...names].sort());
  assert.equal([...file.metadata.keys()].sort(), [...names].sort());
  parseSafetensors(
    raw('{"__metadata__":{"__proto__":"x"},"__proto__":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
  );
  assert.is(({} as Record<string, unknown>).dtype, undefined);
  assert.throws(
    () => parseSafetensors(raw('{"a":{"__proto__":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}}')),
    /deeper|dtype/,
  );
});

const seedTensors: [string, RawTensor][] = [
  ['blocks.0.weight', rawTensor('F32', [2, 3], Float32Array.from({ length: 6 }, Math.random))],
  ['__proto__', rawTensor('U8', [3], Uint8Array.of(1, 2, 3))],
  ['empty', rawTensor('I64', [0, 4], new BigInt64Array(0))],
  ['step', rawTensor('I32', [], Int32Array.of(17))],
];
const sealed = join(writeSafetensors(seedTensors, { config: '{"depth": 2}', constructor: 'x' }));
const plain = raw(
  { __metadata__: { config: 'x' }, a: entry(0, 24, [2, 3], 'F32'), b: entry(24, 26), c: entry(26, 30, [], 'I32') },
  30,
);

const tokens = [
  '-1',
  '0',
  '1e999',
  '9007199254740993',
  '0.5',
  'null',
  '[]',
  '{}',
  '"__proto__"',
  '"constructor"',
  '"dtype"',
  '"a"',
  '"F32"',
  '"U8"',
  '"\\ud800"',
  '"checksums.xxh32"',
  '{"__proto__":{"polluted":"1"}}',
  '"__metadata__"',
  '[0,0]',
  '18446744073709551615',
];
const mutation = fc.oneof(
  fc.record({ kind: fc.constant('byte' as const), at: fc.nat(), value: fc.nat(255) }),
  fc.record({ kind: fc.constant('bit' as const), at: fc.nat(), value: fc.nat(7) }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat() }),
  fc.record({
    kind: fc.constant('insert' as const),
    at: fc.nat(),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 12 }),
  }),
  fc.record({ kind: fc.constant('token' as const), at: fc.nat(), token: fc.constantFrom(...tokens) }),
  fc.record({ kind: fc.constant('length' as const), value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
);

function mutate(bytes: Uint8Array, change: typeof mutation extends fc.Arbitrary<infer T> ? T : never): Uint8Array {
  const copy = bytes.slice();
  if (change.kind === 'length') {
    if (copy.length >= 8) new DataView(copy.buffer).setBigUint64(0, change.value, true);
    return copy;
  }
  const at = change.at % (copy.length + 1);
  if (change.kind === 'cut') return copy.slice(0, at);
  if (change.kind === 'insert') return join([copy.slice(0, at), change.bytes, copy.slice(at)]);
  if (change.kind === 'token') {
    // Another JSON value in the place of one, the header length repaired: gets past the JSON parser.
    const end = copy.length < 8 ? 0 : Math.min(copy.length, 8 + copy[0] + 256 * copy[1]);
    const text = Buffer.from(copy.subarray(8, end)).toString('latin1');
    const values = [...text.matchAll(/"(?:[^"\\]|\\.)*"|[\d.]+|\[[^\]]*\]/g)];
    if (values.length === 0) return copy;
    const hit = values[change.at % values.length];
    const header = text.slice(0, hit.index) + change.token + text.slice(hit.index + hit[0].length);
    return join([raw(Buffer.from(header, 'latin1') as Uint8Array), copy.subarray(end)]);
  }
  if (at < copy.length) copy[at] = change.kind === 'byte' ? change.value : copy[at] ^ (1 << change.value);
  return copy;
}

const runs = Number(process.env.MUTANTS ?? 2000);

test(`${runs} mutants: a typed error or a file whose tensors tile its data; Object.prototype stays as it is`, () => {
  const before = Object.getOwnPropertyNames(Object.prototype).join();
  let accepted = 0;
  fc.assert(
    fc.property(fc.boolean(), fc.array(mutation, { minLength: 1, maxLength: 3 }), (seal, changes) => {
      const mutant = changes.reduce(mutate, seal ? sealed : plain);
      try {
        const { tensors } = parseSafetensors(mutant);
        accepted++;
        let bytes = 0;
        for (const { dtype, shape, data } of tensors.values()) {
          assert.is(
            data.length,
            shape.reduce((product, size) => product * size, DTYPE_BYTES[dtype] as number),
          );
          bytes += data.length;
        }
        assert.is(bytes, mutant.length - 8 - Number(new DataView(mutant.buffer).getBigUint64(0, true)));
      } catch (error) {
        if (!(error instanceof SafetensorsError)) throw error;
      }
      assert.is(Object.getOwnPropertyNames(Object.prototype).join(), before);
      assert.is(({} as Record<string, unknown>).polluted, undefined);
    }),
    { numRuns: runs },
  );
  assert.ok(
    accepted > 0 && accepted < 0.75 * runs,
    `${accepted} of ${runs} mutants accepted: the mutations are too weak or too strong`,
  );
});

test('every single flipped bit of a file with checksums is detected, and in data the tensor is named', () => {
  const dataStart = 8 + Number(new DataView(sealed.buffer).getBigUint64(0, true));
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const damaged = sealed.slice();
    damaged[bit >> 3] ^= 1 << (bit & 7);
    try {
      parseSafetensors(damaged, { requireChecksums: true });
      assert.unreachable(`bit ${bit} of ${sealed.length * 8} went unseen`);
    } catch (error) {
      assert.instance(error, SafetensorsError);
      if (bit >> 3 >= dataStart)
        assert.match((error as Error).message, /tensor "(blocks\.0\.weight|__proto__|step)" is damaged: checksum/);
    }
  }
});

test('a lazy reader sees damage and short files, and names the file', async () => {
  const header = await readHeader(source(sealed));
  const info = header.tensors.get('step')!;
  const damaged = sealed.slice();
  damaged[info.offset] ^= 1;
  const message = (bytes: Uint8Array) =>
    readTensor(source(bytes, 'runs/x.safetensors'), info).then(
      () => 'no error',
      (error: Error) => error.message,
    );
  assert.match(await message(damaged), /^safetensors: runs\/x\.safetensors: tensor "step" is damaged/);
  assert.match(await message(sealed.slice(0, info.offset + 1)), /read 1 of 4 bytes/);
});

test.run();
