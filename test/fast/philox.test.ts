// Philox 4x32-10 gives the known answers that its authors publish with Random123.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { philox4x32 } from '../../kernels/random/philox.ts';
import { random } from '../../kernels/random/random.ts';

const F = 0xffffffff;
const KNOWN = [
  { counter: [0, 0, 0, 0], key: [0, 0], words: '6627e8d5 e169c58d bc57ac4c 9b00dbd8' },
  { counter: [F, F, F, F], key: [F, F], words: '408f276d 41c83b0e a20bc7c6 6d5451fd' },
  {
    counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    key: [0xa4093822, 0x299f31d0],
    words: 'd16cfe09 94fdcceb 5001e420 24126ea1',
  },
] as const;

for (const { counter, key, words } of KNOWN) {
  test(`philox4x32-10 of counter ${counter.map((c) => c.toString(16))}`, () => {
    const hex = [...philox4x32(counter, key)].map((w) => w.toString(16).padStart(8, '0'));
    assert.is(hex.join(' '), words);
  });
}

test('host streams repeat under one key and differ under another', () => {
  const seed = Date.now() % 2 ** 31;
  const draw = (stream: number): number[] => {
    const rng = random(seed, stream);
    return Array.from({ length: 9 }, () => rng.uniform());
  };
  assert.equal(draw(1), draw(1));
  assert.not.equal(draw(1), draw(2));
  assert.ok(draw(3).every((u) => u >= 0 && u < 1));
});
test.run();
