// Reading a kernel's text when the program runs gives what the build step's parser gives, for every kernel of the house.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { wgsl } from '../../kernels/reflect.ts';
// @ts-expect-error build tools have no types
import { reflect } from '../../tools/wgsl.mjs';

const folder = fileURLToPath(new URL('../../kernels/', import.meta.url));
const texts = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.wgsl'))
  .map((path) => ({ path, text: readFileSync(`${folder}/${path}`, 'utf8') }))
  .filter(({ text }) => text.includes('@compute'));

test('every kernel of the house is read as wgsl_reflect reads it', () => {
  assert.ok(texts.length > 60, `${texts.length} kernels found`);
  for (const { path, text } of texts) assert.equal(wgsl(text), reflect(text, path), path);
});

const kernel = (declarations: string, head = ''): string =>
  `${head}${declarations}\n@compute @workgroup_size(64, 1, 1)\nfn main() {}\n`;

test('what it cannot read is said', () => {
  const refused: [string, RegExp][] = [
    ['fn main() {}', /no @compute entry point called main/],
    [kernel('@group(1) @binding(1) var<storage, read> x: array<f32>;'), /x must be in group 0, it is in 1/],
    [
      kernel('struct P { n: u32 }\n@group(0) @binding(2) var<uniform> p: P;'),
      /p must be @binding\(0\), it is @binding\(2\)/,
    ],
    [kernel('@group(0) @binding(0) var<uniform> p: P;'), /struct P is not declared/],
    [
      kernel('struct P { n: vec2<u32> }\n@group(0) @binding(0) var<uniform> p: P;'),
      /P\.n must be f32, u32 or i32, it is vec2/,
    ],
    [
      kernel('@group(0) @binding(1) var<storage, read> x: array<Body>;'),
      /x must be an array of f32.*it is array<Body>/,
    ],
    [kernel('@group(0) @binding(1) var<storage, write> x: array<f32>;'), /x must be storage, read or read_write/],
    [kernel('', 'const WG = 8u * 8u; // knob\n'), /knob WG must be a number or a boolean, it is 8u \* 8u/],
  ];
  for (const [text, message] of refused) assert.throws(() => wgsl(text), message);
});

test.run();
