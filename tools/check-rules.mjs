// The rules of the house that no linter knows: import directions, sizes of rooms, words that must not be there. Each takes
// `{ path, text }` with the path from the clone's root, and returns `path:line  what is wrong`.
import { posix } from 'node:path';

const MAY_IMPORT = {
  kernels: ['kernels'],
  engine: ['kernels', 'engine'],
  mae: ['kernels', 'engine', 'mae'],
  bench: ['kernels', 'engine', 'mae', 'bench'],
  test: ['kernels', 'engine', 'mae', 'bench', 'test', 'tools'],
  tools: ['tools'],
};

const roomOf = (path) => path.split('/')[0];
const lineOf = (text, index) => text.slice(0, index).split('\n').length;

/** The text with blanks for comments: places stay the same. */
const withoutComments = (text) =>
  text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' '))
    .replace(/(^|\s)\/\/.*$/gm, (comment, blank) => blank + ' '.repeat(comment.length - blank.length));

/** Every module that a file names: `{ specifier, line, type }`; `type`: for types alone. Comments are left out. */
export function importsOf(text) {
  const code = withoutComments(text);
  const pattern =
    /(?:^|[;\s}])(?:import|export)\s*(type\s+(?=[\w*{]))?(?:[\w*{}\s,$]+?\s*from\s*)?(['"])([^'"\n]+)\2|\bimport\s*\(\s*(['"])([^'"\n]+)\4/g;
  return [...code.matchAll(pattern)].map((match) => {
    const specifier = match[3] ?? match[5];
    const line = lineOf(code, match.index + match[0].lastIndexOf(specifier));
    return { specifier, line, type: match[1] !== undefined };
  });
}

/** Layers, and which packages a room may name; examples name the package as its users do. @param dependencies names of the packages needed at run time */
export function checkImports({ path, text }, dependencies) {
  const room = roomOf(path);
  const onlyNode = path.startsWith('engine/node/');
  return importsOf(text).flatMap(({ specifier, line }) => {
    const wrong = (rule) => [`${path}:${line}  imports ${specifier}: ${rule}`];
    if (specifier.startsWith('.')) {
      const target = posix.join(posix.dirname(path), specifier);
      const to = roomOf(target);
      if (target.startsWith('..')) return wrong('it lies outside the clone');
      if (!MAY_IMPORT[room].includes(to)) return wrong(`${room} may import ${MAY_IMPORT[room].join(', ')} only`);
      const neutral = room === 'engine' && !onlyNode && target.startsWith('engine/node/');
      return neutral ? wrong('engine/node is an entry for Node; the engine itself must load in browsers') : [];
    }
    if (path.includes('/examples/') && /^tesserae\//.test(specifier)) return [];
    if (['kernels', 'engine'].includes(room) && !onlyNode) return wrong(`${room} needs no package and nothing of Node`);
    if (room !== 'mae' && !onlyNode) return [];
    const name = specifier
      .split('/')
      .slice(0, specifier.startsWith('@') ? 2 : 1)
      .join('/');
    if (specifier.startsWith('node:') || dependencies.includes(name)) return [];
    return wrong(`${name} is not among package.json's dependencies`);
  });
}

/** What a browser must be able to load: these, and all that they import. */
const FOR_BROWSERS = ['kernels/index.ts', 'engine/index.ts', 'mae/browser.ts', 'mae/onnx/export.ts'];
const ofPages = (path) => path.startsWith('mae/web/');
/** ONNX is protobuf, whose library runs anywhere; the bundle of the engine and the model does without. */
const ofOnnx = (path, specifier) => path.startsWith('mae/onnx/') && specifier.startsWith('@bufbuild/protobuf');
const OF_NODE = /\b(process|Buffer|setImmediate|__dirname|__filename|require)\b(?=\s*[.(])/g;

/** Packages that run in browsers as they are: how weights of other projects are read there, and curves are drawn. */
const WEB_PACKAGES = ['pickleparser', 'unzipit', '@huggingface/hub', 'uplot'];

/** Neither modules and globals of Node nor packages of Node, from the entries for browsers on. Types alone do not count. */
export function checkBrowser(files) {
  const texts = new Map(files.map(({ path, text }) => [path, text]));
  const came = new Map(
    [...texts.keys()].filter((path) => FOR_BROWSERS.includes(path) || ofPages(path)).map((path) => [path, []]),
  );
  const found = [];
  for (const [path, by] of came) {
    const way = [...by, path];
    const from = way.length > 1 ? `, which ${way[0]} reaches by ${way.slice(1).join(' > ')}` : '';
    const text = texts.get(path) ?? '';
    for (const { specifier, line, type } of importsOf(text)) {
      if (type || WEB_PACKAGES.includes(specifier) || ofOnnx(path, specifier)) continue;
      if (!specifier.startsWith('.'))
        found.push(`${path}:${line}  imports ${specifier}: browsers load this file${from}`);
      else {
        const target = posix.join(posix.dirname(path), specifier);
        if (!came.has(target)) came.set(target, way);
      }
    }
    for (const match of withoutComments(text).matchAll(OF_NODE))
      found.push(`${path}:${lineOf(text, match.index)}  uses ${match[1]} of Node: browsers load this file${from}`);
  }
  return found;
}

/** How many lines a file may have. */
function sizeLimit(path) {
  if (/\.d\.wgsl\.ts$|_pb\.d\.ts$/.test(path)) return Infinity; // generated
  if (path.endsWith('.wgsl')) return 150;
  return /^engine\/ops\/[^/]+\.ts$/.test(path) ? 60 : 300;
}

export function checkSize({ path, text }) {
  const lines = text.replace(/\n$/, '').split('\n').length;
  const limit = sizeLimit(path);
  return lines > limit ? [`${path}:${limit + 1}  has ${lines} lines, ${limit} are allowed: one idea a file`] : [];
}

// The words are put together here, so that this file does not hold them itself.
const words = ['TO-DO', 'FIX-ME', 'XX-X', 'HA-CK'].map((word) => word.replace('-', '')).join('|');
const UNFINISHED = new RegExp(`\\b(${words})\\b|not (yet )?implemented`, 'g');
const NARROWED = /\.(only|skip)\(\s*['"`]/g;

/** Marks of unfinished work, and tests that were narrowed or switched off. */
export function checkWords({ path, text }) {
  const patterns = [UNFINISHED, ...(path.startsWith('test/') ? [NARROWED] : [])];
  return patterns.flatMap((pattern) =>
    [...text.matchAll(pattern)].map(
      (match) => `${path}:${lineOf(text, match.index)}  holds ${match[0].trim()}: finish it or take it out`,
    ),
  );
}
