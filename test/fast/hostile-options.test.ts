// Flags and config files as anybody may type or damage them: one clear line, at once, and nothing taken that is no sense.
// `MUTANTS=10000` tries more files.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { FINETUNE_OPTIONS, parseFinetuneOptions } from '../../mae/finetune/options.ts';
import { OPTIONS, parsePretrainOptions } from '../../mae/train/options.ts';
import type { Flags, OptionTable } from '../../mae/train/table.ts';
import { UsageError } from '../../mae/usage.ts';
import { mutants } from '../support/mutate.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const count = Number(process.env.MUTANTS ?? 600);
console.log(`SEED=${seed}`);
const folder = mkdtempSync(join(tmpdir(), 'tesserae hostile ümläut '));
test.after(() => rmSync(folder, { recursive: true }));

const MODEL = 'mae_vit_nano_patch4_32';
type Parse = (flags: Flags, config?: string) => object;
const COMMANDS: Record<string, { table: OptionTable; parse: Parse; base: Flags }> = {
  pretrain: { table: OPTIONS, parse: parsePretrainOptions, base: { data_path: 'x', model: MODEL } },
  finetune: { table: FINETUNE_OPTIONS, parse: parseFinetuneOptions, base: { data_path: 'x', model: MODEL } },
};

/** The message of a refusal, which is one line; null where it is accepted. */
function refusal(parse: Parse, flags: Flags, config?: string): string | null {
  const began = performance.now();
  try {
    parse(flags, config);
    return null;
  } catch (error) {
    assert.instance(error, UsageError, String((error as Error).stack));
    const { message } = error as Error;
    assert.not.match(message, '\n');
    assert.ok(message.length < 1500, message);
    return message;
  } finally {
    assert.ok(performance.now() - began < 1000, `took ${performance.now() - began} ms`);
  }
}

for (const [command, { table, parse, base }] of Object.entries(COMMANDS)) {
  test(`${command}: every flag that takes a number refuses what is none, by name`, () => {
    const numeric = Object.keys(table).filter((name) => ['N', 'X', 'N|HxW'].includes(table[name].kind.value));
    assert.ok(numeric.length > 20, `${numeric}`);
    for (const name of numeric) {
      for (const bad of ['NaN', 'Infinity', '-Infinity', '1e999', '', 'abc', '0x10', '--', '1e99', '-1']) {
        const message = refusal(parse, { ...base, [name]: bad }) ?? 'accepted';
        assert.ok(message.includes(`--${name} must be`), `--${name} ${bad}: ${message}`);
        assert.ok(message.endsWith(`got ${bad || "''"}`), message);
      }
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, true, {}, [[]], 'abc'])
        assert.ok(refusal(parse, { ...base, [name]: bad })?.includes(`--${name} must be`), `${name} ${bad}`);
      // 0 has a sense for some of them; what is taken is a number.
      const zero = refusal(parse, { ...base, [name]: '0' });
      if (zero === null) assert.is((parse({ ...base, [name]: '0' }) as Record<string, unknown>)[name], 0, name);
    }
  });

  test(`${command}: every key of a file names a wrong type`, () => {
    for (const [name, { kind }] of Object.entries(table)) {
      const path = join(folder, `${command}-${name}.yaml`);
      for (const value of ['{a: 1}', '[[1], [2]]', ...(kind.value === '' ? ['"yes"', '3'] : ['true'])]) {
        writeFileSync(path, `${name}: ${value}\n`);
        // A section of that name holds keys.
        if (name === 'model' && value === '{a: 1}') continue;
        const message = refusal(parse, base, path);
        assert.ok(message?.startsWith(`--config ${path}: ${name} must be`), `${name}: ${value}: ${message}`);
      }
    }
  });

  test(`${command}: a mistyped flag is named with the one that was meant`, () => {
    const rng = random(seed, 1);
    for (const name of Object.keys(table).filter((known) => known.length > 6)) {
      const at = 1 + rng.below(name.length - 1);
      const typed = name.slice(0, at) + name.slice(at + 1);
      if (typed in table) continue;
      const message = refusal(parse, { ...base, [typed]: '1' });
      assert.match(message ?? '', new RegExp(`^--${typed} is not known; did you mean --\\w+\\?$`));
    }
  });
}

const CONFIG = `# a run
data_path: "some photos/ünï"
model:
  model: ${MODEL}
  embed_dim: 96
  mask_ratio: 0.75
  norm_pix_loss: true
data: &data {input_size: [32, 32], heldout: 10}
optim:
  blr: 1.5e-4
  weight_decay: 0.05
schedule: {epochs: 20, warmup_epochs: 2}
output:
  output_dir: runs/one
  save_freq: 5
`;

test(`${count} mutants of a config file: options, or one line, under a second`, () => {
  const prototype = Object.getOwnPropertyNames(Object.prototype).join();
  const path = join(folder, 'mutant.yaml');
  let accepted = 0;
  for (const { name, bytes } of mutants(new TextEncoder().encode(CONFIG), count, seed)) {
    writeFileSync(path, bytes);
    try {
      if (refusal(parsePretrainOptions as Parse, {}, path) === null) accepted++;
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`);
    }
    assert.is(Object.getOwnPropertyNames(Object.prototype).join(), prototype);
  }
  assert.ok(accepted > 0 && accepted < 0.9 * count, `${accepted} of ${count} accepted`);
});

const bomb = `a: &a [x, x, x, x, x, x, x, x, x]\n${'bcdefghi'
  .split('')
  .map((key, i) => `${key}: &${key} [${Array(9).fill(`*${'abcdefgh'[i]}`)}]`)
  .join('\n')}\n`;
for (const [what, text] of [
  ['aliases that multiply', bomb],
  ['an alias of itself', 'model: &a {depth: *a}'],
  ['a list that holds itself', 'depth: &a [*a]'],
  ['deep lists', `depth: ${'['.repeat(40_000)}`],
  ['deep lists, closed', `depth: ${'['.repeat(20_000)}${']'.repeat(20_000)}`],
  ['deep maps', `depth: ${'{a: '.repeat(10_000)}`],
  ['too long', `# ${'x'.repeat(200_000)}`],
  ['__proto__', '__proto__: {depth: 3}'],
  ['__proto__ in a section', 'model:\n  __proto__: {depth: 3}'],
  ['__proto__ as a number', '__proto__: 3'],
  ['toString', 'toString: 3'],
  ['constructor', 'constructor: {prototype: {depth: 3}}'],
  ['a tag', 'depth: !!js/function "function () {}"'],
  ['two documents', 'depth: 3\n---\ndepth: 4'],
  ['binary', '\0\x01\x02'],
  ['not a number', 'depth: .nan'],
  ['infinite', 'lr: .inf'],
] as const) {
  test(`a file with ${what} is refused`, () => {
    const path = join(folder, 'hostile.yaml');
    writeFileSync(path, text);
    const message = refusal(parsePretrainOptions as Parse, { data_path: 'x', model: MODEL }, path);
    assert.ok(message?.startsWith(`--config ${path}: `), message ?? 'accepted');
    assert.is(({} as Record<string, unknown>).depth, undefined);
  });
}

test('sizes beyond sense are refused at once, by name', () => {
  const absurd = [
    'depth',
    'decoder_depth',
    'embed_dim',
    'in_chans',
    'num_heads',
    'patch_size',
    'batch_size',
    'accum_iter',
  ];
  for (const name of [...absurd, 'num_workers']) {
    const message = refusal(parsePretrainOptions as Parse, { data_path: 'x', model: MODEL, [name]: '1000000000' });
    assert.match(message ?? 'accepted', new RegExp(`${name} must be .*at most \\d+, got 1000000000$`));
  }
  const size = (input_size: string): string | null =>
    refusal(parsePretrainOptions as Parse, { data_path: 'x', model: MODEL, input_size });
  assert.match(size('1000000000') ?? '', /height must be at most 16384, got 1000000000/);
  assert.match(size('16384') ?? '', /16384 x 16384 pixels have 16777216 patches of 4, at most 262144/);
});

test('of names the one that was probably meant is told', () => {
  const message = refusal(parsePretrainOptions as Parse, { data_path: 'x', model: 'mae_vit_bse_patch16' });
  assert.match(
    message ?? '',
    /--model must be one of .*, got mae_vit_bse_patch16; did you mean mae_vit_base_patch16\?$/,
  );
  assert.match(
    refusal(parsePretrainOptions as Parse, { data_path: 'x', sched: 'cosin' }) ?? '',
    /did you mean cosine\?$/,
  );
});

test('a folder in the place of the file is named', () => {
  assert.match(refusal(parsePretrainOptions as Parse, { data_path: 'x' }, folder) ?? '', /is a folder or a device/);
});

test.run();
