// Hostile pickles by name, each with what it must be refused for: calls, bombs, prototypes.
import { archiveOf, dictOf, op, pickle, storageOf, tensorOf } from './torch-files.ts';

export const floats = (count: number): Buffer => Buffer.alloc(4 * count, 1);
export const good = { numel: 4, shape: [2, 2], stride: [2, 1] };
export const weight = (value: Buffer): Buffer => pickle(dictOf([['patch_embed.proj.weight', value]]));
/** `[[[…], […]], …]`: two to the 60 leaves in 500 bytes. */
export const bomb = Buffer.concat([
  op.mark,
  op.list,
  op.put(0),
  ...Array.from({ length: 60 }, (_, i) => [op.get(i), op.get(i), op.tuple2, op.put(i + 1)]).flat(),
  op.tuple,
]);
export const call = (module: string, name: string, ...args: Buffer[]): Buffer =>
  Buffer.concat([op.global(module, name), op.mark, ...args, op.tuple, op.reduce]);
const rebuilt = (...args: Buffer[]): Buffer => call('torch._utils', '_rebuild_tensor_v2', ...args);
const weighed = (value: Buffer): Buffer => archiveOf(weight(value), [['0', floats(4)]]);
const many = (count: number, part: Buffer): Buffer => Buffer.concat(Array.from({ length: count }, () => part));

/** Bytes by name, with what they must be refused for. */
export type Hostile = readonly (readonly [name: string, bytes: Buffer, why: RegExp])[];
export const PICKLES: Hostile = [
  ...(
    [
      ['os', 'system'],
      ['posix', 'system'],
      ['nt', 'system'],
      ['subprocess', 'Popen'],
      ['builtins', 'eval'],
      ['builtins', 'exec'],
      ['__builtin__', 'getattr'],
      ['builtins', '__import__'],
      ['torch.hub', 'load'],
      ['torch', 'load'],
      ['torch.utils.cpp_extension', 'load'],
      ['runpy', '_run_code'],
      ['numpy', 'load'],
      ['importlib', 'import_module'],
      ['Object', 'constructor'],
      ['', '__proto__'],
      ['constructor', 'constructor'],
    ] as const
  ).map(([module, name]): [string, Buffer, RegExp] => [
    `${module}.${name}`,
    archiveOf(pickle(call(module, name, op.text('touch escaped')))),
    /which is not allowed: it would run code/,
  ]),
  [
    'os.system before the weights',
    archiveOf(
      pickle(
        dictOf([
          ['x', call('os', 'system', op.text('id'))],
          ['model', tensorOf(good)],
        ]),
      ),
      [['0', floats(4)]],
    ),
    /"os\.system"/,
  ],
  [
    'a call within a call',
    archiveOf(pickle(call('collections', 'OrderedDict', call('builtins', 'eval', op.text('1'))))),
    /"builtins\.eval"/,
  ],
  [
    'a thousand calls within one another',
    archiveOf(
      pickle(
        many(1000, op.global('collections', 'OrderedDict')),
        op.emptyTuple,
        op.reduce,
        many(999, Buffer.concat([op.tuple1, op.reduce])),
      ),
    ),
    /holds no/,
  ],
  [
    'what a call gave is called',
    archiveOf(pickle(op.global('collections', 'OrderedDict'), op.emptyTuple, op.reduce, op.emptyTuple, op.reduce)),
    /damaged/,
  ],
  [
    'STACK_GLOBAL of a name that is put together',
    archiveOf(
      pickle(op.text('os'), op.text('system'), Buffer.from([0x93]), op.mark, op.text('id'), op.tuple, op.reduce),
    ),
    /"os\.system"/,
  ],
  [
    'STACK_GLOBAL of lists in lists',
    archiveOf(pickle(bomb, op.put(99), op.get(99), Buffer.from([0x93]))),
    /without a name/,
  ],
  ['INST', archiveOf(pickle(op.mark, Buffer.from('ios\nsystem\n'))), /opcode 0x69/],
  ['OBJ', archiveOf(pickle(op.mark, op.global('os', 'system'), Buffer.from('o'))), /"os\.system"|opcode/],
  ['EXT4', archiveOf(pickle(Buffer.from([0x84, 1, 0, 0, 0]))), /opcode 0x84/],
  ['a negative length', archiveOf(pickle(Buffer.from([0x42, 0xfb, 0xff, 0xff, 0xff]))), /ends in the middle/],
  ['a text of 4 GiB', archiveOf(pickle(Buffer.from([0x58, 0xff, 0xff, 0xff, 0xff]))), /ends in the middle/],
  ['protocol 9', archiveOf(Buffer.from([0x80, 9, 0x4e, 0x2e])), /damaged/],
  ['without an end', archiveOf(Buffer.from([0x80, 2, 0x7d])), /damaged/],
  ['nothing at all', archiveOf(Buffer.alloc(0)), /damaged/],
  ['a memo of lists in lists', archiveOf(pickle(bomb)), /holds no dictionary/],
  ['lists in lists as a shape', weighed(rebuilt(storageOf(4), op.number(0), bomb, bomb)), /damaged shape/],
  ['lists in lists as an offset', weighed(rebuilt(storageOf(4), bomb, op.emptyTuple, op.emptyTuple)), /at something/],
  ['lists in lists as a key', archiveOf(pickle(op.dict, bomb, op.none, op.setitem)), /holds no weights/],
  ['lists in lists as a state', archiveOf(pickle(op.list, bomb, op.build)), /holds no dictionary/],
  ['400,000 opcodes', archiveOf(pickle(many(400_000, op.dict))), /more than 300000 opcodes/],
  [
    'a list for each of many dictionaries',
    archiveOf(pickle(op.mark, many(30_000, Buffer.concat([op.none, op.none, op.tuple2])), Buffer.from('l'))),
    /opcode 0x6c/,
  ],
  [
    'a long list handed over again and again',
    archiveOf(
      pickle(
        op.list,
        op.put(0),
        op.mark,
        many(100_000, op.none),
        op.appends,
        many(50_000, Buffer.concat([op.global('torch', 'Size'), op.get(0), op.reduce])),
      ),
    ),
    /arguments from elsewhere/,
  ],
  [
    'dictionaries from one list again and again',
    archiveOf(
      pickle(
        op.list,
        op.put(0),
        op.mark,
        many(9_000, Buffer.concat([op.none, op.none, op.tuple2])),
        op.appends,
        many(2_000, Buffer.concat([op.global('collections', 'OrderedDict'), op.get(0), op.tuple1, op.reduce])),
      ),
    ),
    /too long lists/,
  ],
  [
    '__proto__ as a key',
    archiveOf(
      pickle(
        dictOf([
          ['__proto__', dictOf([['polluted', op.text('yes')]])],
          ['constructor', op.none],
        ]),
      ),
    ),
    /holds no weights/,
  ],
  [
    '__proto__ as a state of a namespace',
    archiveOf(
      pickle(op.global('argparse', 'Namespace'), op.emptyTuple, op.newobj, dictOf([['__proto__', op.none]]), op.build),
    ),
    /holds no dictionary/,
  ],
  [
    'a function is built',
    archiveOf(pickle(op.global('collections', 'OrderedDict'), dictOf([['call', op.none]]), op.build)),
    /holds no dictionary/,
  ],
];
