// The packed package in a project of someone else: plain Node and esbuild resolve it, types hold without our settings, every
// example runs in Node and in Chromium, and only what is used goes into a bundle.
// The dependencies are links to the clone's; INSTALL=npm lets npm install them.
import { execFile, spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { chromium, openPage } from './support/chromium.ts';
import { writeRun } from './support/run-folder.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const node = process.env.TESSERAE_NODE ?? process.execPath;
const project = mkdtempSync(join(tmpdir(), 'tesserae-project-'));
process.on('exit', () => rmSync(project, { recursive: true, force: true }));

/** Every example: its folder, and the last line that it prints. */
const EXAMPLES: readonly (readonly [folder: string, last: RegExp])[] = [
  ['engine/examples/kernel', /^the reference agrees$/],
  ['engine/examples/custom-op', /^and so it is on the device, in f32$/],
  ['engine/examples/classifier', /^(2[89]\d|300) of 300 points are classified right$/],
  ['mae/examples/canvas', /^frame 0 {2}loss 0\.\d{4}$/],
];
const nameOf = (folder: string): string => folder.split('/').at(-1) as string;

function run(program: string, args: string[], cwd = project): string {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, encoding: 'utf8' });
  assert.is(status, 0, `${program} ${args.join(' ')}\n${stdout}${stderr}`);
  return stdout;
}

let tarball = '';

test('npm pack builds a package that installs', () => {
  const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ['npm'];
  const packed = run(npm[0], [...npm.slice(1), 'pack', '--silent', '--pack-destination', project], root);
  tarball = join(project, packed.trim().split('\n').at(-1) as string);
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'project', private: true, type: 'module' }));
  if (process.env.INSTALL === 'npm') {
    run(npm[0], [...npm.slice(1), 'install', '--prefer-offline', '--no-audit', '--no-fund', tarball]);
  } else {
    const modules = join(project, 'node_modules');
    mkdirSync(modules);
    run('tar', ['xzf', tarball, '-C', modules]);
    cpSync(join(modules, 'package'), join(modules, 'tesserae'), { recursive: true });
    rmSync(join(modules, 'package'), { recursive: true });
    for (const name of Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })) {
      mkdirSync(dirname(join(modules, name)), { recursive: true });
      symlinkSync(join(root, 'node_modules', name), join(modules, name));
    }
  }
  const files = readdirSync(join(project, 'node_modules', 'tesserae'), { recursive: true, encoding: 'utf8' });
  const strange = files
    .filter((path) => !path.includes('examples/'))
    .filter((path) => /\.wgsl$|\.test\.|(?<!\.d)\.ts$|^(test|bench|\.ci)\//.test(path));
  assert.equal(strange, [], 'neither sources nor tests are in it');
  const told = ['engine/README.md', 'kernels/README.md', 'kernels/gemm/gemm.md', 'mae/weights/README.md'];
  const shown = EXAMPLES.map(([folder]) => `${folder}/node.ts`);
  const reference = ['engine', 'kernels', 'mae'].map((room) => `dist/lib/${room}/api.md`);
  for (const path of [...told, ...shown, ...reference, 'mae/examples/search.ts'])
    assert.ok(files.includes(path), `${path} is not in the package`);
  for (const [folder] of EXAMPLES) {
    mkdirSync(join(project, nameOf(folder)));
    for (const name of readdirSync(join(root, folder)))
      cpSync(join(root, folder, name), join(project, nameOf(folder), name));
  }
});

test('publint and attw find nothing', async () => {
  const { publint } = await import('publint');
  const { messages } = await publint({ pkgDir: join(project, 'node_modules', 'tesserae'), strict: true });
  assert.equal(messages, []);
  const attw = join(root, 'node_modules', '@arethetypeswrong', 'cli', 'dist', 'index.js');
  run(process.execPath, [attw, '--profile', 'esm-only', tarball]);
});

test('plain Node imports every entry', () => {
  const entries = Object.keys(manifest.exports).filter((entry) => !entry.endsWith('.json'));
  const names = entries.map((entry) => entry.replace(/^\./, 'tesserae'));
  const text = names
    .map((name) => `console.log('${name}', Object.keys(await import('${name}')).length > 0);\n`)
    .join('');
  writeFileSync(join(project, 'entries.mjs'), text);
  assert.is(run(node, ['entries.mjs']), names.map((name) => `${name} true\n`).join(''));
  // What loads a module of Node only when it is needed finds it there, too.
  const load = `import { loadPretrained } from 'tesserae/mae';\nawait loadPretrained('./nowhere.safetensors').catch((e) => console.log(e.message));`;
  writeFileSync(join(project, 'load.mjs'), load);
  assert.match(run(node, ['load.mjs']), /nowhere\.safetensors/);
});

for (const [module, moduleResolution] of [
  ['NodeNext', 'NodeNext'],
  ['ESNext', 'Bundler'],
] as const)
  test(`the examples have types in a project with settings of its own, resolved by ${moduleResolution}`, () => {
    const config = {
      compilerOptions: {
        module,
        moduleResolution,
        target: 'ES2022',
        lib: ['ES2023', 'DOM', 'ESNext.Disposable'],
        typeRoots: [join(root, 'node_modules', '@types')],
        types: ['node'],
        strict: true,
        noEmit: true,
        allowImportingTsExtensions: true,
      },
      include: EXAMPLES.map(([folder]) => nameOf(folder)),
    };
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(config));
    run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.json']);
  });

/** A project's own build step for plain Node: each file by itself, imports by name left to Node. */
async function transpile(folder: string): Promise<void> {
  const files = readdirSync(join(project, folder)).filter((name) => name.endsWith('.ts'));
  await build({
    entryPoints: files.map((name) => join(project, folder, name)),
    outdir: join(project, folder),
    format: 'esm',
    target: 'node20',
    logLevel: 'silent',
  });
  for (const name of files) {
    const path = join(project, folder, name.replace(/\.ts$/, '.js'));
    writeFileSync(path, readFileSync(path, 'utf8').replace(/(from "\.[^"]*)\.ts"/g, '$1.js"'));
  }
}

for (const [folder, last] of EXAMPLES) {
  test(`${folder} runs in plain Node`, async () => {
    await transpile(nameOf(folder));
    const out = run(node, [join(nameOf(folder), 'node.js'), ...(folder.endsWith('canvas') ? ['canvas.png', '3'] : [])]);
    const lines = out.trim().split('\n');
    if (folder.endsWith('canvas')) {
      assert.match(lines.at(-1) ?? '', /^frame 3 is in canvas.png$/);
      panels(await sharp(join(project, 'canvas.png')).removeAlpha().raw().toBuffer({ resolveWithObject: true }));
    } else assert.match(lines.at(-1) ?? '', last, out);
  });
}

/** Three squares: a picture, the same with three quarters of its 4 x 4 tiles grey, and with these rebuilt. */
function panels({ data, info }: { data: Buffer; info: { width: number; height: number } }): void {
  assert.is(info.width, 3 * info.height);
  const side = info.height;
  const at = (panel: number, x: number, y: number): string => {
    const i = (Math.floor((y + 0.5) * (side / 4)) * info.width + panel * side + Math.floor((x + 0.5) * (side / 4))) * 3;
    return data.subarray(i, i + 3).join();
  };
  let removed = 0;
  for (let x = 0; x < 4; x++) {
    for (let y = 0; y < 4; y++) {
      const grey = at(1, x, y)
        .split(',')
        .every((value) => Math.abs(Number(value) - 128) <= 1);
      removed += grey ? 1 : 0;
      if (grey) continue;
      assert.is(at(1, x, y), at(0, x, y), `visible tile ${x}, ${y}`);
      assert.is(at(2, x, y), at(0, x, y), `visible tile ${x}, ${y} in the reconstruction`);
    }
  }
  assert.is(removed, 12);
}

/** One bundle for a page, as any project would make it. @returns its text */
async function bundle(source: string, minify = false): Promise<Uint8Array> {
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: project, loader: 'ts' },
    bundle: true,
    write: false,
    minify,
    format: 'esm',
    target: 'es2022',
    platform: 'browser',
    logLevel: 'silent',
  });
  return outputFiles[0].contents;
}

const inBrowser = chromium ? test : test.skip;
for (const [folder, last] of EXAMPLES) {
  inBrowser(`${folder} runs in a page, bundled by esbuild`, async () => {
    const name = nameOf(folder);
    const files = {
      [`/${name}/index.html`]: readFileSync(join(project, name, 'index.html')),
      [`/${name}/${name}.js`]: await bundle(`export * from './${name}/${name}.ts';`),
    };
    await using opened = await openPage('engine/errors.ts', { files, canvas: name === 'canvas' });
    const { page, address } = opened;
    await page.goto(`${address}${name}/index.html`);
    let text = '';
    while (!text.split('\n').some((line) => last.test(line.trim()))) {
      await page.waitForFunction(`document.body.innerText.length > ${text.length}`, null, { timeout: 120_000 });
      text = (await page.evaluate('document.body.innerText')) as string;
      opened.check();
      assert.not.match(text, /Error/);
    }
    if (name !== 'canvas') return;
    const picture = await page.locator('canvas').screenshot();
    panels(await sharp(picture).removeAlpha().raw().toBuffer({ resolveWithObject: true }));
  });
}

test('only what is used goes into a bundle, and all of it is small', async () => {
  const kilobytes = async (source: string) => gzipSync(await bundle(source, true), { level: 9 }).length / 1000;
  const kernel = await kilobytes(
    `import { layernormForward, resolve } from 'tesserae/kernels'; console.log(layernormForward, resolve);`,
  );
  const engine = await kilobytes(
    `import { Engine, linear, openDevice } from 'tesserae/engine'; console.log(Engine, linear, openDevice);`,
  );
  const all = await kilobytes(`export * from 'tesserae'; export * as kernels from 'tesserae/kernels';`);
  const sizes = `one kernel ${kernel.toFixed(1)} kB, an engine ${engine.toFixed(1)} kB, all ${all.toFixed(1)} kB gzipped`;
  assert.ok(kernel < 10 && engine < 50 && all < 165, sizes);
});

test('the command line works from the package', async () => {
  const cli = join(project, 'node_modules', 'tesserae', 'tools', 'tesserae.mjs');
  assert.is(run(process.execPath, [cli, '--version']).trim(), manifest.version);
  const exec = promisify(execFile);
  const { stdout } = await exec(process.execPath, [cli, 'run', join('kernel', 'node.ts')], { cwd: project });
  assert.match(stdout, /the reference agrees/);
  const help = await exec(process.execPath, [cli, 'bench', 'step', '--help'], { cwd: project });
  assert.match(help.stdout, /tesserae bench step/);
});

test('reports and the dashboard come with the pages that the package holds', async () => {
  await writeRun(join(project, 'a run'));
  const cli = join(project, 'node_modules', 'tesserae', 'tools', 'tesserae.mjs');
  run(process.execPath, [cli, 'report', 'a run']);
  assert.match(readFileSync(join(project, 'a run', 'report.html'), 'utf8'), /<script type="module">[\s\S]{20000}/);
  const child = spawn(process.execPath, [cli, 'dashboard', 'a run', '--port', '0'], { cwd: project });
  try {
    let said = '';
    for await (const text of child.stdout.setEncoding('utf8')) if (/ends it\)/.test((said += text))) break;
    const address = /^http:\S+/.exec(said)?.[0] as string;
    for (const path of ['', 'dashboard.js', 'dashboard.css', 'icon.svg', 'runs/0/original.png'])
      assert.is((await fetch(address + path)).status, 200, path);
  } finally {
    child.kill();
  }
});

test.run();
