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

/** Every module that a file names: `{ specifier, line }`. Comments are left out. */
export function importsOf(text) {
  const code = text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' '))
    .replace(/(^|\s)\/\/.*$/gm, '$1');
  const pattern =
    /(?:^|[;\s}])(?:import|export)\s*(?:type\s+)?(?:[\w*{}\s,$]+?\s*from\s*)?(['"])([^'"\n]+)\1|\bimport\s*\(\s*(['"])([^'"\n]+)\3/g;
  return [...code.matchAll(pattern)].map((match) => {
    const specifier = match[2] ?? match[4];
    return { specifier, line: lineOf(code, match.index + match[0].indexOf(specifier)) };
  });
}

/** Layers, and which packages a room may name. @param dependencies names of the packages needed at run time */
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

/** How many lines a file may have. */
function sizeLimit(path) {
  if (path.endsWith('.d.wgsl.ts')) return Infinity;
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
