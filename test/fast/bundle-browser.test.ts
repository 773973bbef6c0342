// Bundles for browsers: no code of Node, no parser of WGSL, and small enough to be sent to a page.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as browser from '../../mae/browser.ts';
import * as engine from '../../engine/index.ts';
import { VERSION } from '../../mae/version.ts';
import * as kernels from '../../kernels/index.ts';
import { type AdapterTraits, catalogue, PROFILES, type Settings } from '../../kernels/index.ts';

const { bundleEntry, bundleForBrowser, ENTRIES } = await import(
  new URL('../../tools/bundle-browser.mjs', import.meta.url).href
);
const MOST_BYTES = 150_000;

const load = (bytes: Uint8Array) =>
  import(`data:text/javascript;base64,${Buffer.from(bytes).toString('base64')}`) as Promise<Record<string, unknown>>;

for (const name of Object.keys(ENTRIES)) {
  test(`${name}: kernels are reflected already, nothing of Node is left, and gzipped it is below 150 kB`, async () => {
    const { bytes, inputs } = (await bundleEntry(name)) as { bytes: Uint8Array; inputs: string[] };
    assert.equal(
      inputs
        .filter((path) => /node_modules|engine\/node\/|^tools\//.test(path))
        // What weights of other projects are read with.
        .filter((path) => name !== 'tesserae' || !/node_modules\/(pickleparser|unzipit)\//.test(path)),
      [],
    );
    assert.not.match(
      // unzipit has it behind a test for Node.
      new TextDecoder().decode(bytes).replace('"node:worker_threads"', ''),
      /wgsl_reflect|["'`]node:|\bprocess\s*[.[]|\brequire\(|\bBuffer\./,
    );
    const packed = gzipSync(bytes, { level: 9 }).length;
    assert.ok(packed < MOST_BYTES, `${packed} bytes`);
    assert.ok(packed > 20_000, `${packed} bytes: kernels are missing`);
  });
}

/** What a compiler of WGSL sees. */
const bare = (code: string): string =>
  code
    .replace(/\s*\/\/.*$/gm, '')
    .replace(/^\s*\n/gm, '')
    .trim();

test('a bundle has the kernels of the source: the same bindings, and for every case and profile the same program', async () => {
  const module = (await load((await bundleEntry('kernels')).bytes)) as typeof kernels;
  const features = new Set(['subgroups', 'shader-f16', 'chromium-experimental-subgroup-matrix']);
  let programs = 0;
  for (const [i, kernel] of catalogue.entries()) {
    const theirs = module.catalogue[i];
    assert.equal([theirs.name, theirs.bindings], [kernel.name, kernel.bindings]);
    for (const profile of PROFILES.filter((p) => kernel.variants[p])) {
      for (const problem of kernel.cases as readonly Settings[]) {
        const traits: AdapterTraits = {
          profile,
          vendor: '',
          subgroupMinSize: 8,
          subgroupMaxSize: 8,
          features: programs % 3 ? features : new Set(),
          maxWorkgroupStorageBytes: 32768,
          maxWorkgroupInvocations: 256,
          maxBindingBytes: 2 ** 27,
          matrices: [{ M: 8, N: 8, K: 8 }],
        };
        const [ours, bundled] = [kernels, module].map(({ resolve }, at) => {
          const { code, grid, wgsl } = resolve(at ? theirs : kernel, problem, traits);
          return { code: bare(code), grid, params: wgsl.params, bindings: wgsl.bindings };
        });
        assert.equal(bundled, ours, `${kernel.name} ${profile} ${JSON.stringify(problem)}`);
        programs++;
      }
    }
  }
  assert.ok(programs > 300, `${programs} programs`);
});

test("the largest bundle has all names of the engine and of the model's part for browsers", async () => {
  const module = await load((await bundleEntry('tesserae')).bytes);
  assert.equal(Object.keys(module).sort(), Object.keys({ ...engine, ...browser }).sort());
});

test('the version that files are signed with is that of package.json', () => {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  assert.is(VERSION, JSON.parse(manifest).version);
});

test('what needs Node is refused with the place that asks for it', async () => {
  const message = await bundleForBrowser(`export * from './mae/train/table.ts';`).catch((e: Error) => e.message);
  assert.match(message, /^cannot bundle for browsers: .*mae\/train\/table\.ts:\d+ Could not resolve "node:fs"/);
});

test.run();
