#!/usr/bin/env node
// `npm run api`, the API reference: what every entry of the package exports, with its docstring (or else the line that its file opens
// with) and its signature, read from the sources. `npm run build` puts it into the package, too.
import { parse } from '@babel/parser';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, posix, resolve } from 'node:path';
import { toolOptions } from './argv.mjs';
import { root } from './cache.mjs';
import { main } from './say.mjs';

const HELP = `npm run api

Writes the reference of what every entry of the package exports, as Markdown below dist/api.
`;
const HEAD = '<!-- Made by `npm run api` from the docstrings. -->';

/** A parsed file: its text, statements, and the line that says what it is for. */
function fileReader() {
  const files = new Map();
  return (path) => {
    let file = files.get(path);
    if (!file) {
      const text = readFileSync(join(root, path), 'utf8');
      const { program } = parse(text, { sourceType: 'module', plugins: ['typescript', 'explicitResourceManagement'] });
      file = { path, text, body: program.body, exported: null };
      files.set(path, file);
    }
    return file;
  };
}

const declared = (statement) =>
  statement.type === 'ExportNamedDeclaration' && statement.declaration ? statement.declaration : statement;

/** Names that a declaration gives. */
const namesOf = (declaration) =>
  declaration.type === 'VariableDeclaration'
    ? declaration.declarations.map(({ id }) => id.name)
    : declaration.id
      ? [declaration.id.name]
      : [];

/** Every export of a file: its name, and where it is declared: `{ name, path, local }`. */
function exportsOf(read, path) {
  const file = read(path);
  if (file.exported) return file.exported;
  const found = new Map();
  for (const statement of file.body) {
    const from = statement.source && posix.join(posix.dirname(path), statement.source.value);
    if (statement.type === 'ExportAllDeclaration') {
      for (const one of exportsOf(read, from)) if (!found.has(one.name)) found.set(one.name, one);
    } else if (statement.type === 'ExportNamedDeclaration' && statement.declaration) {
      for (const name of namesOf(statement.declaration)) found.set(name, { name, path, local: name });
    } else if (statement.type === 'ExportNamedDeclaration') {
      for (const { local, exported } of statement.specifiers) {
        const inner = from && exportsOf(read, from).find(({ name }) => name === local.name);
        found.set(exported.name, { ...(inner ?? { path, local: local.name }), name: exported.name });
      }
    }
  }
  file.exported = [...found.values()];
  return file.exported;
}

/** The statement that declares a name, and the declaration in it. */
function find(file, name) {
  const statement = file.body.find((s) => namesOf(declared(s)).includes(name));
  return statement && { statement, declaration: declared(statement) };
}

/** The docstring right before a node, without its stars; null where there is none. */
function docOf(node) {
  const comment = node.leadingComments?.at(-1);
  if (comment?.type !== 'CommentBlock' || !comment.value.startsWith('*')) return null;
  return comment.value
    .slice(1)
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trim())
    .join('\n')
    .trim();
}

/** What a file is for, as its first lines say. */
const openingOf = ({ text }) =>
  /^(?:\/\/ .*\n)+/
    .exec(text)?.[0]
    .replace(/^\/\/ /gm, '')
    .replace(/\n/g, ' ')
    .trim() ?? null;

const slice = (file, node) => file.text.slice(node.start, node.end);
/** A function's head: everything before its body. */
const headOf = (file, node) =>
  file.text
    .slice(node.start, node.body.start)
    .replace(/\s*=>\s*$/, '')
    .replace(/^(export |async )+/, '')
    .trim();

const isPublic = (member) =>
  !member.key?.type?.startsWith('Private') &&
  !['private', 'protected'].includes(member.accessibility) &&
  member.type !== 'StaticBlock' &&
  !(
    member.computed &&
    /Symbol/.test(member.key.property?.name ?? '') === false &&
    member.key.object?.name === 'Symbol'
  );

function classText(file, node) {
  const lines = [`${file.text.slice(node.start, node.body.start).trim()} {`];
  for (const member of node.body.body.filter(isPublic)) {
    const doc = docOf(member);
    if (doc?.includes('\n')) lines.push('  /**', ...doc.split('\n').map((line) => `   * ${line}`), '   */');
    else if (doc) lines.push(`  /** ${doc} */`);
    const text = member.body
      ? file.text.slice(member.start, member.body.start).trim()
      : slice(file, member)
          .replace(member.typeAnnotation ? / = [\s\S]*$/ : /$/, '')
          .replace(/;$/, '');
    lines.push(`  ${text};`);
  }
  return [...lines, '}'].join('\n');
}

/** Names of an op's outputs, by the first `out: { … }` in its forward. */
function outputsOf(node) {
  if (!node || typeof node !== 'object') return null;
  if (node.type === 'ObjectProperty' && node.key.name === 'out' && node.value.type === 'ObjectExpression')
    return node.value.properties.map(({ key }) => key.name);
  for (const [key, child] of Object.entries(node)) {
    const found = key === 'loc' ? null : outputsOf(child);
    if (found) return found;
  }
  return null;
}

/** What a text names of its own file and readers find nowhere else: types that the entry does not export, with what these name in turn. */
function ownTypes(file, text, exported, told = new Set()) {
  return file.body.flatMap((statement) => {
    const declaration = declared(statement);
    const name = /^TS(Interface|TypeAlias)/.test(declaration.type) ? declaration.id.name : null;
    if (!name || exported.has(name) || told.has(name) || !new RegExp(`\\b${name}\\b`).test(text)) return [];
    told.add(name);
    const own = slice(file, declaration);
    const doc = docOf(statement);
    return [`${doc ? `/** ${doc.replace(/\n/g, ' ')} */\n` : ''}${own}`, ...ownTypes(file, own, exported, told)];
  });
}

/** `name(inputs, attributes): outputs` of an op. */
function opText(file, name, call) {
  const forward = call.arguments[1].properties.find(({ key }) => key?.name === 'forward');
  const [, inputs, attributes] = forward.params ?? forward.value.params;
  const typeOf = (param) => (param?.typeAnnotation ? slice(file, param.typeAnnotation.typeAnnotation) : 'unknown');
  const [given, wanted] = [typeOf(inputs), typeOf(attributes)];
  const outputs = (outputsOf(forward) ?? []).map((output) => `${output}: Tensor`).join('; ');
  const result = outputs ? `: { ${outputs} }` : '';
  return `${name}(inputs: ${given}, attributes: ${/^Record<never, never>$|^object$/.test(wanted) ? '{}' : wanted})${result}`;
}

const kernelText = (file, name, call) => {
  const property = call.arguments[0].properties.find(({ key }) => key?.name === 'shapes');
  const shapes = property ? slice(file, property).replace(/^shapes: /, '') : '';
  return `${name}: Kernel${shapes ? `\n\nshapes: ${shapes}` : ''}`;
};

function variableText(file, { id, init }) {
  const type = id.typeAnnotation ? slice(file, id.typeAnnotation) : '';
  const call = init?.type === 'CallExpression' ? init.callee.name : '';
  if (call === 'defineOp') return opText(file, id.name, init);
  if (call === 'defineKernel') return kernelText(file, id.name, init);
  if (init?.type === 'ArrowFunctionExpression') return `${id.name}${type}${type ? '' : headOf(file, init)}`;
  const value = init && init.end - init.start < 100 ? ` = ${slice(file, init)}` : '';
  return `const ${id.name}${type}${value}`;
}

/** What a reader needs of a declaration, as TypeScript. */
function signature(file, declaration, name) {
  if (declaration.type === 'VariableDeclaration')
    return variableText(
      file,
      declaration.declarations.find(({ id }) => id.name === name),
    );
  if (declaration.type === 'ClassDeclaration') return classText(file, declaration);
  if (declaration.type === 'FunctionDeclaration') return headOf(file, declaration).replace(/^function\*? /, '');
  return slice(file, declaration);
}

/** The page of one entry, and which of its exports say nothing of themselves. */
function apiOf(entry, source) {
  const read = fileReader();
  const missing = [];
  const exported = new Set(exportsOf(read, source).map(({ name }) => name));
  const sections = exportsOf(read, source)
    .sort((a, b) => a.name.localeCompare(b.name, 'en', { sensitivity: 'base' }))
    .flatMap(({ name, path, local }) => {
      const file = read(path);
      const found = find(file, local);
      if (!found) return [];
      const doc = docOf(found.statement) ?? openingOf(file);
      if (doc === null) missing.push(`${path}  ${name} is exported by ${entry} and has no docstring`);
      const head = signature(file, found.declaration, local);
      const text = [head, ...ownTypes(file, head, exported, new Set([local]))].join('\n\n');
      return [`### ${name}\n\n${doc ?? ''}\n\n\`\`\`ts\n// ${path}\n${text}\n\`\`\`\n`];
    });
  const count = sections.length;
  const page = `${HEAD}\n\n# ${entry}\n\n${count} exports, in alphabetical order.\n\n${sections.join('\n')}`;
  return { entry, page, count, missing };
}

/** Every page: its path, its text; and what says nothing of itself. */
export function apiPages() {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const pages = [];
  const missing = [];
  for (const [key, target] of Object.entries(manifest.exports)) {
    const source = target['tesserae-source']?.replace(/^\.\//, '');
    // What the first entry exports, the others do, too.
    if (!source || key === '.' || !existsSync(join(root, source))) continue;
    const made = apiOf(key.replace(/^\./, manifest.name), source);
    pages.push({
      path: `${dirname(source)}/${/(index|browser|export)\.ts$/.test(source) ? '' : `${basename(source, '.ts')}-`}api.md`,
      entry: made.entry,
      count: made.count,
      text: made.page,
    });
    missing.push(...made.missing);
  }
  return { pages, missing: [...new Set(missing)] };
}

/** Writes every page below a folder. @returns {{ path: string, entry: string, count: number }[]} */
export function writeApi(folder) {
  const { pages } = apiPages();
  return pages.map(({ path, entry, count, text }) => {
    const out = join(folder, path);
    mkdirSync(dirname(out), { recursive: true });
    writeFileSync(out, text);
    return { path: out, entry, count };
  });
}

if (import.meta.filename === resolve(process.argv[1] ?? ''))
  main(async () => {
    if (!toolOptions('api', HELP)) return 0;
    for (const { path, entry, count } of writeApi(join(root, 'dist', 'api')))
      process.stdout.write(`${entry.padEnd(26)} ${String(count).padStart(4)} exports  ${path}\n`);
    return 0;
  });
