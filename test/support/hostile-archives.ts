// Hostile archives by name, each with what it must be refused for: storages and entries that lie, paths, what is no state_dict.
import { bomb, call, floats, good, type Hostile, weight } from './hostile-pickles.ts';
import { archiveOf, dictOf, op, pickle, tensorOf, zipOf } from './torch-files.ts';

/** Of files that a path in an archive would make, were it followed. */
export const ESCAPED = 'tesserae-escaped';
const dotted = `../../../../../../../../../../tmp/${ESCAPED}`;

/** A file of before PyTorch 1.6: its magic, then these pickles. */
const legacyOf = (...pickles: Buffer[]): Buffer =>
  Buffer.concat([Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex'), ...pickles]);

export const ARCHIVES: Hostile = [
  ['a legacy file whose version is lists in lists', legacyOf(pickle(bomb)), /is of format unknown/],
  ['a legacy file of version 2^40', legacyOf(pickle(op.number(2 ** 40))), /is of format 1099511627776/],
  [
    'a legacy file that calls',
    legacyOf(pickle(op.number(1001)), pickle(call('os', 'system', op.text('id')))),
    /"os\.system"/,
  ],
  [
    'a legacy file without storages',
    legacyOf(pickle(op.number(1001)), pickle(op.dict), weight(tensorOf(good)), pickle(op.list)),
    /lacks the storage/,
  ],
  [
    'a legacy file of a storage that lies',
    legacyOf(
      pickle(op.number(1001)),
      pickle(op.dict),
      weight(tensorOf(good)),
      pickle(op.list, op.text('0'), op.append),
      Buffer.alloc(8, 0x7f),
    ),
    /has 91872\d+ elements, its tensors need 4/,
  ],
  [
    'a storage shorter than its shape',
    archiveOf(weight(tensorOf({ numel: 4, shape: [1000, 1000], stride: [1000, 1] })), [['0', floats(4)]]),
    /passes the end of its storage/,
  ],
  [
    'an entry shorter than its storage',
    archiveOf(weight(tensorOf({ numel: 2 ** 40, shape: [2, 2], stride: [2, 1] })), [['0', floats(4)]]),
    /16 bytes, 4398046511104 are needed/,
  ],
  [
    'strides beyond the storage',
    archiveOf(weight(tensorOf({ numel: 4, shape: [2, 2], stride: [2 ** 31, 1] })), [['0', floats(4)]]),
    /passes the end/,
  ],
  [
    'strides of 0 for a shape of 2^40',
    archiveOf(weight(tensorOf({ numel: 4, shape: [2 ** 20, 2 ** 20], stride: [0, 0] })), [['0', floats(4)]]),
    /passes the end/,
  ],
  [
    'an offset beyond the storage',
    archiveOf(weight(tensorOf({ ...good, offset: 2 ** 31 })), [['0', floats(4)]]),
    /passes the end/,
  ],
  [
    'sizes whose product is no number',
    archiveOf(weight(tensorOf({ numel: 4, shape: [2 ** 31, 2 ** 31, 2 ** 31], stride: [1, 1, 1] })), [
      ['0', floats(4)],
    ]),
    /passes the end/,
  ],
  [
    'a zero that hides an overflow',
    archiveOf(weight(tensorOf({ numel: 4, shape: [2 ** 40, 2 ** 40, 0], stride: [1, 1, 1] })), [['0', floats(4)]]),
    /passes the end/,
  ],
  [
    'more strides than sizes',
    archiveOf(weight(tensorOf({ numel: 4, shape: [2], stride: [1, 1] })), [['0', floats(4)]]),
    /1 dimensions has 2 strides/,
  ],
  [
    'ten thousand dimensions',
    archiveOf(weight(tensorOf({ numel: 4, shape: Array(10_000).fill(1), stride: Array(10_000).fill(1) })), [
      ['0', floats(4)],
    ]),
    /damaged shape/,
  ],
  [
    'an unknown storage',
    archiveOf(weight(tensorOf({ ...good, storage: 'QUInt8Storage' })), [['0', floats(4)]]),
    /"torch\.QUInt8Storage"/,
  ],
  [
    'one storage of two sizes',
    archiveOf(
      pickle(
        dictOf([
          ['a', tensorOf(good)],
          ['b', tensorOf({ ...good, numel: 8 })],
        ]),
      ),
      [['0', floats(4)]],
    ),
    /two things of storage/,
  ],
  [
    'a storage that is not there',
    archiveOf(weight(tensorOf({ ...good, key: '7' })), [['0', floats(4)]]),
    /lacks the storage "7"/,
  ],
  [
    'a storage by a path',
    archiveOf(weight(tensorOf({ ...good, key: dotted })), [['0', floats(4)]]),
    /lacks the storage/,
  ],
  [
    'an entry by a path (zip-slip)',
    archiveOf(weight(tensorOf({ ...good, key: dotted })), [[dotted, floats(4)]]),
    /lacks|no vision|holds/,
  ],
  [
    'an archive whose root is a path',
    archiveOf(weight(tensorOf(good)), [['0', floats(4)]], `../../../../tmp/${ESCAPED}`),
    /lacks|holds no vision/,
  ],
  ['an absolute entry', zipOf([{ name: '/etc/passwd', bytes: Buffer.from('root') }]), /0 data\.pkl/],
  [
    'an entry of the name __proto__',
    zipOf([
      { name: '__proto__', bytes: floats(1) },
      { name: 'a/data.pkl', bytes: weight(tensorOf(good)) },
    ]),
    /lacks the storage/,
  ],
  [
    'two entries of one name',
    zipOf([1, 2].map((n) => ({ name: 'a/data.pkl', bytes: Buffer.from([n]) }))),
    /two entries of the name/,
  ],
  ['two pickles', zipOf(['a', 'b'].map((n) => ({ name: `${n}/data.pkl`, bytes: pickle(op.dict) }))), /2 data\.pkl/],
  ['a directory that says 65,000 entries', zipOf([{ name: 'a/data.pkl', bytes: pickle(op.dict) }], 65_000), /damaged/],
  ['an entry that says 4 GB', zipOf([{ name: 'a/data.pkl', bytes: pickle(op.dict), size: 0xfffffff0 }]), /damaged/],
  [
    'a pickle that says 40 MB',
    zipOf([{ name: 'a/data.pkl', bytes: Buffer.alloc(40 << 20, 0x30) }]),
    /at most are read/,
  ],
  [
    'an entry that begins beyond the end',
    zipOf([{ name: 'a/data.pkl', bytes: pickle(op.dict), offset: 2 ** 31 }]),
    /damaged/,
  ],
  ['an entry in another', zipOf([{ name: 'a/data.pkl', bytes: pickle(op.dict), offset: 1 }]), /damaged/],
  ['a packed entry', zipOf([{ name: 'a/data.pkl', bytes: pickle(op.dict), method: 8 }]), /is packed/],
  [
    'a TorchScript program',
    zipOf(['data', 'constants'].map((n) => ({ name: `a/${n}.pkl`, bytes: pickle(op.dict) }))),
    /TorchScript/,
  ],
  [
    'big-endian',
    zipOf([
      { name: 'a/data.pkl', bytes: pickle(op.dict) },
      { name: 'a/byteorder', bytes: Buffer.from('big') },
    ]),
    /big-endian/,
  ],
  ['only the first bytes of an archive', Buffer.from('PK\x03\x04'), /damaged/],
  [
    'a whole module',
    archiveOf(pickle(op.mark, op.text('module'), op.none, op.text('m.py'), op.text('import os'), op.tuple, op.pid)),
    /whole module/,
  ],
];
