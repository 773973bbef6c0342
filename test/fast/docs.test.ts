// README, --help and the documents agree: links resolve, every command that is named exists and is told of, every flag is known, every
// room of kernels has its page, and every export says what it is.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { wholeProgram } from '../../mae/cli/program.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const text = (path: string): string => readFileSync(join(root, path), 'utf8');
const manifest = JSON.parse(text('package.json'));
const pages = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => /\.md$/.test(path) && !/(^|\/)(node_modules|dist|runs|output_dir)\//.test(path))
  .sort();
const program = await wholeProgram();

/** GitHub's names for headings: lower case, blanks to dashes, punctuation gone. */
const anchors = (page: string): Set<string> =>
  new Set(
    [...text(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
      heading
        .replace(/`/g, '')
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replace(/ /g, '-'),
    ),
  );

test('every link of every page leads somewhere', () => {
  assert.ok(pages.length > 20, pages.join());
  const broken = pages.flatMap((page) => {
    const plain = text(page).replace(/```[\s\S]*?```/g, '');
    const targets = [...plain.matchAll(/\]\(([^)\s]+)\)|\bsrc="([^"]+)"/g)].map(([, link, src]) => link ?? src);
    return targets
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => {
        const [path, anchor] = target.split('#');
        const file = path ? normalize(join(dirname(page), path)) : page;
        if (!existsSync(join(root, file))) return true;
        return anchor !== undefined && file.endsWith('.md') && !anchors(file).has(anchor);
      })
      .map((target) => `${page}: ${target}`);
  });
  assert.equal(broken, []);
});

/** What is written as code: blocks line by line (continued ones joined), and spans. */
function codeOf(page: string): string[] {
  const blocks: string[] = [];
  const rest = text(page).replace(/```\w*\n([\s\S]*?)```/g, (_, block: string) => {
    blocks.push(...block.replace(/\\\n\s*/g, ' ').split('\n'));
    return '';
  });
  return [...blocks, ...[...rest.matchAll(/`([^`]+)`/g)].map(([, span]) => span.replace(/\n\s*/g, ' '))];
}

/** Command lines of ours in a piece of code: the words after `tesserae`, up to a comment, a pipe or another command. */
const commandLines = (code: string): string[][] =>
  [...code.matchAll(/(?:^|npx |\$ |&& )tesserae +([a-z][^#|&;]*)/g)].map(([, line]) => line.trim().split(/\s+/));

const found = (command: Command, name: string): Command | undefined => command.commands.find((c) => c.name() === name);
const flagsOf = (command: Command): string[] => [
  ...command.options.flatMap(({ long }) => (long ? [long] : [])),
  ...command.commands.flatMap(flagsOf),
];
const underscored = (flag: string): string => `--${flag.slice(2).replaceAll('-', '_')}`;

test('every command line of every page is one that exists, with flags that it takes', () => {
  const wrong = pages.flatMap((page) =>
    codeOf(page)
      .flatMap(commandLines)
      .flatMap(([name, ...words]) => {
        const command = found(program, name);
        if (!command) return [`${page}: tesserae ${name}`];
        const inner =
          command.commands.length && words[0] && /^[a-z]+$/.test(words[0]) ? found(command, words[0]) : command;
        if (!inner) return [`${page}: tesserae ${name} ${words[0]}`];
        const known = new Set([
          ...flagsOf(inner),
          ...flagsOf(command),
          ...program.options.map((o) => o.long),
          '--help',
        ]);
        return words
          .filter((word) => /^--[a-z]/.test(word))
          .map((word) => /^--[\w-]+/.exec(word)?.[0] as string)
          .filter((flag) => !known.has(flag) && !known.has(underscored(flag)))
          .map((flag) => `${page}: tesserae ${name} ${flag}`);
      }),
  );
  assert.equal(wrong, []);
});

test('every flag that a page names by itself is known to some command or tool', () => {
  const tools = readdirSync(join(root, 'tools')).map((name) => text(`tools/${name}`));
  const known = new Set([...flagsOf(program), ...tools.join('\n').matchAll(/--[a-z][\w-]+/g)].map(String));
  const wrong = pages.flatMap((page) =>
    codeOf(page)
      .filter((code) => /^--[a-z]/.test(code))
      .map((code) => /^--[\w-]+/.exec(code)?.[0] as string)
      .filter((flag) => !known.has(flag) && !known.has(underscored(flag)))
      .map((flag) => `${page}: ${flag}`),
  );
  assert.equal(wrong, []);
});

test('README names every command, and every script that pages name exists', () => {
  const code = codeOf('README.md');
  // `npm start` is quickstart by its short name.
  const untold = program.commands
    .map((command) => command.name())
    .filter((name) => name !== 'quickstart' && !code.some((span) => new RegExp(`\\b${name}\\b`).test(span)));
  assert.equal(untold, []);
  const scripts = pages.flatMap((page) =>
    codeOf(page)
      .flatMap((code) => [...code.matchAll(/npm run ([\w:]+)/g)])
      .filter(([, script]) => !(script in manifest.scripts))
      .map(([command]) => `${page}: ${command}`),
  );
  assert.equal(scripts, []);
  // What npm calls by itself, and variants of `npm test`, need no mention.
  const all = pages.map(text).join('\n');
  const unnamed = Object.keys(manifest.scripts)
    .filter((script) => !/^(start|test(:\w+)?|prepack)$/.test(script))
    .filter((script) => !all.includes(`npm run ${script}`));
  assert.equal(unnamed, []);
});

test('every room of kernels has a page with formula, plan and numbers, and the table of rooms names it', () => {
  const table = text('kernels/README.md');
  const rooms = readdirSync(join(root, 'kernels'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'lib')
    .map(({ name }) => name);
  const without = rooms.filter((room) => !existsSync(join(root, 'kernels', room, `${room}.md`)));
  assert.equal(without, []);
  // A formula is indented code.
  const parts = { formula: /^ {4}\S/m, plan: /^\*\*Plan\.\*\* /m, numbers: /^\*\*Numbers\.\*\* [\s\S]*\d/m };
  const lacking = rooms.flatMap((room) =>
    Object.entries(parts)
      .filter(([, pattern]) => !pattern.test(text(`kernels/${room}/${room}.md`)))
      .map(([part]) => `${room}: ${part}`),
  );
  assert.equal(lacking, []);
  assert.equal(
    rooms.filter((room) => !table.includes(`(${room}/${room}.md)`)),
    [],
  );
});

test('every export of the package says what it is', async () => {
  // @ts-expect-error build tools have no types
  const { apiPages } = await import('../../tools/api.mjs');
  const { pages: made, missing } = apiPages();
  assert.ok(made.length >= 6);
  assert.equal(missing, []);
});

test.run();
