// Seeded damage to files: what disks, downloads and attackers do to bytes. The same (bytes, count, seed) gives the same mutants.
import { random } from '../../kernels/random/random.ts';

interface Mutant {
  /** What was done, in words: enough to tell mutants apart in a report. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Numbers that a size field may lie with. */
const LIES = [0xffffffffn, 0x7fffffffn, 0x80000000n, 2n ** 64n - 1n, 2n ** 63n - 1n, 2n ** 53n, 2n ** 40n, 0n, 1n];

/** `count` mutants of `bytes`, each with one to three kinds of damage. `bytes` itself is not touched. */
export function* mutants(bytes: Uint8Array, count: number, seed: number): Iterable<Mutant> {
  for (let i = 0; i < count; i++) {
    const rng = random(seed, i);
    // Half of all damage is near the front, where headers are.
    const place = (length: number): number => rng.below(1 + (rng.below(2) ? length : Math.min(length, 128)));
    // Not slice(), which gives a view of a Buffer.
    let mutant = new Uint8Array(bytes);
    const done: string[] = [];
    for (let times = 1 + rng.below(3); times > 0; times--) {
      const at = place(mutant.length);
      const length = 1 + rng.below(rng.below(2) ? 8 : Math.max(1, mutant.length >> 2));
      const [what, changed] = CHANGES[rng.below(CHANGES.length)](mutant, at, length, rng.below);
      mutant = changed as typeof mutant;
      done.push(what);
    }
    yield { name: `#${i} ${done.join(', ')}`, bytes: mutant };
  }
}

type Change = (
  bytes: Uint8Array,
  at: number,
  length: number,
  below: (n: number) => number,
) => [what: string, changed: Uint8Array];

const CHANGES: readonly Change[] = [
  (bytes, at, _, below) => {
    const copy = new Uint8Array(bytes);
    if (at < copy.length) copy[at] ^= 1 << below(8);
    return [`bit of ${at}`, copy];
  },
  (bytes, at, _, below) => {
    const copy = new Uint8Array(bytes);
    const value = below(256);
    if (at < copy.length) copy[at] = value;
    return [`byte ${at} = ${value}`, copy];
  },
  (bytes, at) => [`cut at ${at}`, bytes.subarray(0, at)],
  (bytes, at, length) => [`${length} out at ${at}`, spliced(bytes, at, length, new Uint8Array(0))],
  (bytes, at, length) => [`${length} twice at ${at}`, spliced(bytes, at, 0, bytes.subarray(at, at + length))],
  (bytes, at, length, below) => {
    const noise = Uint8Array.from({ length: Math.min(length, 64) }, () => below(256));
    return [`${noise.length} into ${at}`, spliced(bytes, at, 0, noise)];
  },
  (bytes, at, length, below) => {
    const from = below(bytes.length + 1);
    const piece = bytes.subarray(from, from + length);
    return [`${piece.length} of ${from} over ${at}`, spliced(bytes, at, piece.length, piece)];
  },
  (bytes, at, length) => {
    const copy = new Uint8Array(bytes);
    copy.fill(0, at, Math.min(at + length, copy.length));
    return [`${length} zeros at ${at}`, copy];
  },
  (bytes, at, _, below) => {
    const lie = LIES[below(LIES.length)];
    const [wide, little] = [below(2) === 1, below(2) === 1];
    const field = new DataView(new ArrayBuffer(wide ? 8 : 4));
    if (wide) field.setBigUint64(0, lie, little);
    else field.setUint32(0, Number(lie & 0xffffffffn), little);
    const name = `${lie} at ${at} (${wide ? 64 : 32} bits, ${little ? 'little' : 'big'} endian)`;
    return [name, spliced(bytes, at, field.byteLength, new Uint8Array(field.buffer))];
  },
  (bytes, _at, _length, below) => {
    // A run of digits in text, as in JSON, YAML, octal and Python literals.
    const text = Buffer.from(bytes).toString('latin1');
    const runs = [...text.matchAll(/[0-9]{1,20}/g)];
    if (!runs.length) return [`no digits`, bytes];
    const run = runs[below(runs.length)];
    const digits = ['99999999999', '-1', '0', '1e999', '77777777777', '9007199254740993'][below(6)];
    // Of equal length where it fits, so that what follows stays in its place.
    const text2 = digits.length <= run[0].length ? digits.padStart(run[0].length, '0') : digits;
    return [`${text2} at ${run.index}`, spliced(bytes, run.index, run[0].length, Buffer.from(text2))];
  },
];

/** `bytes` with `count` bytes from `at` on replaced by `by`. */
function spliced(bytes: Uint8Array, at: number, count: number, by: Uint8Array): Uint8Array {
  const tail = bytes.subarray(Math.min(bytes.length, at + count));
  const out = new Uint8Array(Math.min(at, bytes.length) + by.length + tail.length);
  out.set(bytes.subarray(0, at));
  out.set(by, Math.min(at, bytes.length));
  out.set(tail, Math.min(at, bytes.length) + by.length);
  return out;
}
