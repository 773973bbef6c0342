// `npm run generate` writes the type declaration beside every .wgsl; `--check` only tells which ones have drifted.
import { existsSync, readdirSync, readFileSync, writeFileSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { toolOptions } from './argv.mjs';
import { root } from './cache.mjs';
import { main } from './say.mjs';
import { asTypes } from './wgsl.mjs';

const HELP = `npm run generate -- [--check]

Writes kernels/**/NAME.d.wgsl.ts beside every kernel, from its bindings and knobs.

  --check       write nothing, tell which ones have drifted
`;

/** @returns what is (or, if only checked, would be) written or deleted */
function generate(check) {
  const files = readdirSync(join(root, 'kernels'), { recursive: true }).map((f) => join(root, 'kernels', f));
  const wgsl = files.filter((f) => f.endsWith('.wgsl'));
  const drifted = [];

  for (const path of wgsl) {
    const kernelTs = relative(dirname(path), join(root, 'kernels/kernel.ts')).replaceAll('\\', '/');
    const types = asTypes(readFileSync(path, 'utf8'), path, kernelTs.startsWith('.') ? kernelTs : `./${kernelTs}`);
    const out = path.replace(/\.wgsl$/, '.d.wgsl.ts');
    if (existsSync(out) && readFileSync(out, 'utf8') === types) continue;
    drifted.push(relative(root, out));
    if (!check) writeFileSync(out, types);
  }
  for (const path of files.filter((f) => f.endsWith('.d.wgsl.ts'))) {
    if (wgsl.includes(path.replace(/\.d\.wgsl\.ts$/, '.wgsl'))) continue;
    drifted.push(`${relative(root, path)} (its kernel is gone)`);
    if (!check) rmSync(path);
  }
  return drifted;
}

main(() => {
  const given = toolOptions('generate', HELP, ['--check']);
  if (!given) return 0;
  const check = given['--check'];
  const drifted = generate(check);
  for (const f of drifted) console.log(check ? `drifted: ${f} (run npm run generate)` : `wrote ${f}`);
  return check && drifted.length ? 1 : 0;
});
