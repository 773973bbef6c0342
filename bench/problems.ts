// At which problems the kernels of the catalogue are measured: what a training step of a model asks of each of them.
import { ADAMW_BLOCK } from '../kernels/adamw/adamw.ts';
import { layoutCrops } from '../kernels/augment/layout.ts';
import { dclsGroups, dmaskGroups } from '../kernels/gather/gather.ts';
import { dense, EPILOGUES, NN, NT, TN } from '../kernels/gemm/gemm.ts';
import { LARS_PART } from '../kernels/lars/lars.ts';
import { layernormGroups } from '../kernels/layernorm/layernorm.ts';
import type { AdapterTraits, Settings } from '../kernels/kernel.ts';
import { imageWords } from '../kernels/randaugment/randaugment.ts';
import { random } from '../kernels/random/random.ts';
import { columnGroups, sumGroups } from '../kernels/reduce/reduce.ts';

/** Sizes of a step; `patches` of an image, of which the encoder sees `keep`. */
export interface BenchSizes {
  readonly batch: number;
  readonly chans: number;
  readonly height: number;
  readonly width: number;
  readonly patch_size: number;
  readonly patches: number;
  readonly keep: number;
  /** Width and heads of the encoder, and width of the decoder. */
  readonly dim: number;
  readonly heads: number;
  readonly decoder_dim: number;
  readonly parameters: number;
}

export interface BenchProblem {
  readonly problem: Settings;
  /** Inputs that the problem's sizes do not give. */
  readonly inputs?: Readonly<Record<string, ArrayLike<number>>>;
}

type Problems = (sizes: BenchSizes, traits: AdapterTraits) => readonly BenchProblem[];

const CLASSES = 1000;
const EPS = 1e-6;
const plain = (...problems: readonly Settings[]): BenchProblem[] => problems.map((problem) => ({ problem }));
const one =
  (make: (s: BenchSizes, traits: AdapterTraits) => Settings): Problems =>
  (s, traits) =>
    plain(make(s, traits));

/** Rows of the encoder's tokens, and what its MLP has between its two layers. */
const rowsOf = ({ batch, keep }: BenchSizes): number => batch * (1 + keep);
const hidden = (s: BenchSizes): number => rowsOf(s) * 4 * s.dim;
const activations = (s: BenchSizes): number => rowsOf(s) * s.dim;
/** Optimizers work on slabs of whole blocks. */
const slab = ({ parameters }: BenchSizes): number => LARS_PART * Math.ceil(parameters / LARS_PART);
const attention = one(({ batch, keep, heads, dim }) => {
  const each = dim / heads;
  return { batch, tokens: 1 + keep, heads, dim: each, scale: each ** -0.5 };
});
/** attention.probabilities of every row. */
const looked: Problems = (s, traits) =>
  attention(s, traits).map(({ problem }) => ({ problem: { ...problem, first: 0, rows: problem.tokens } }));
const images = ({ batch, chans, height, width }: BenchSizes) => ({ batch, chans, height, width });
const pixels = (s: BenchSizes) => ({ ...images(s), patch_size: s.patch_size });
const flat = one((s) => ({ n: hidden(s) }));
/** Tokens of the encoder, and below of the decoder. */
const encoded = one(({ batch, patches, keep, dim }) => ({ batch, patches, keep, dim }));
const decoded = one(({ batch, patches, keep, decoder_dim: dim }) => ({ batch, patches, keep, dim }));
const operations = one((s) => ({ ...images(s), words: imageWords(s.height, s.width, s.chans), slot: 0, slots: 2 }));
const bytesOf = (s: BenchSizes) => ({ ...images(s), words: imageWords(s.height, s.width, s.chans) });
const rows = one(({ batch, patches, keep, dim }) => ({ batch, rows: 1 + patches, count: 1 + keep, dim }));
const pooled = one(({ batch, keep, dim }) => ({ batch, tokens: 1 + keep, dim }));
const classified = one(({ batch }) => ({ rows: batch, classes: CLASSES }));
const norms = (extra: Settings): Problems =>
  one(({ batch, dim }) => ({ rows: Math.max(2, batch), cols: dim, ...extra }));

/** Crops of 20 to 100 % of images half as large again, as pretraining cuts them. */
const crops =
  (extra: (s: BenchSizes, words: number) => Settings): Problems =>
  (s) => {
    const rng = random(3);
    let offset = 0;
    const list = Array.from({ length: s.batch }, (_, i) => {
      const share = 1.5 * Math.sqrt(0.2 + 0.8 * rng.uniform());
      const [height, width] = [Math.ceil(share * s.height), Math.ceil(share * s.width)];
      const crop = { offset, pitch: width * s.chans, height, width, flip: i % 2 === 1 };
      offset += height * crop.pitch;
      return crop;
    });
    const { images: table, taps, mid } = layoutCrops(list, s);
    const problem = { batch: s.batch, chans: s.chans, width: s.width, tap_words: taps.length, mid_words: mid };
    const inputs = { images: table, taps };
    return [{ problem: { ...problem, ...extra(s, Math.ceil(offset / 4)) }, inputs }];
  };

const gemm: Problems = (s) => {
  const [m, n, k] = [rowsOf(s), 4 * s.dim, s.dim];
  return plain(
    { ...dense({ m, n, k, LAYOUT: NT }), LAYOUT: NT, EPILOGUE: EPILOGUES.bias },
    { ...dense({ m, n: k, k: n, LAYOUT: NN }), LAYOUT: NN },
    { ...dense({ m: n, n: k, k: m, LAYOUT: TN }), LAYOUT: TN },
  );
};

/** By the name of the kernel. */
export const PROBLEMS: Readonly<Record<string, Problems>> = {
  'adamw.clip': one((s) => ({ groups: sumGroups(s.parameters), maxNorm: 1 })),
  'adamw.tick': one(() => ({ lnBeta1: Math.log(0.9), lnBeta2: Math.log(0.95) })),
  'adamw.update': one((s) => ({ n: slab(s), groupCount: 2 })),
  'argsort.guide': one(({ batch, patches }) => ({ batch, patches, guidance: 0.5 })),
  'argsort.mask': one(({ batch, patches, keep }) => ({ batch, patches, keep })),
  'attention.backward': attention,
  'attention.delta': attention,
  'attention.forward': attention,
  'attention.probabilities': looked,
  'attention.saliency': attention,
  'augment.bytes': crops((s) => ({ height: s.height, words: imageWords(s.height, s.width, s.chans) })),
  'augment.horizontal': crops((_, words) => ({ words })),
  'augment.normalize': one(bytesOf),
  'augment.vertical': crops((s) => ({ height: s.height })),
  'batchnorm.backward': norms({ eps: EPS }),
  'batchnorm.normalize': norms({ eps: EPS }),
  'batchnorm.stats': norms({ momentum: 0.1 }),
  'crossentropy.backward': classified,
  'crossentropy.forward': classified,
  'crossentropy.targets': one(({ batch }) => ({ rows: batch, classes: CLASSES, smoothing: 0.1 })),
  'elementwise.add': one((s) => ({ n: activations(s) })),
  'elementwise.axpy': one((s) => ({ n: slab(s), s: 0.5 })),
  'elementwise.cast': one((s) => ({ n: slab(s), Y16: true })),
  'elementwise.copy': flat,
  'elementwise.dgelu': flat,
  'elementwise.drelu': flat,
  'elementwise.dropout': one((s) => ({ samples: s.batch, n: (1 + s.keep) * s.dim, rate: 0.1, seed: 5, stream: 2 })),
  'elementwise.droppath': one((s) => ({ samples: s.batch, n: (1 + s.keep) * s.dim, rate: 0.1, seed: 5, stream: 2 })),
  'elementwise.fill': one((s) => ({ n: hidden(s), value: 0 })),
  'elementwise.gelu': flat,
  'elementwise.lerp': one((s) => ({ n: slab(s), s: 1e-3 })),
  'elementwise.mul': flat,
  'elementwise.relu': flat,
  'elementwise.scale': one((s) => ({ n: slab(s) })),
  'gather.dcls': one(({ batch, keep, dim }) => ({ batch, keep, dim, groups: dclsGroups(batch) })),
  'gather.dembed': one(({ batch, keep, dim }) => ({ batch, keep, dim })),
  'gather.dmask': one(({ batch, patches, keep, decoder_dim: dim }) => ({
    batch,
    patches,
    keep,
    dim,
    groups: dmaskGroups(batch),
  })),
  'gather.dpos': encoded,
  'gather.drestore': decoded,
  'gather.drows': rows,
  'gather.embed': encoded,
  'gather.restore': decoded,
  'gather.rows': rows,
  gemm,
  'gemm.finish': one(({ dim }) => ({
    splits: 4,
    rows: 3 * dim,
    n: dim,
    groups: 4,
    splits2: 4,
    rows2: dim,
    n2: dim,
    groups2: 4,
    DBIAS: true,
    DBIAS2: true,
  })),
  'gemm.reduce': one((s) => ({ splits: 4, rows: s.dim, n: 4 * s.dim, groups: 4 })),
  'lars.ratio': one((s) => ({ parts: slab(s) / LARS_PART, tensors: 150, trust: 0.001 })),
  'lars.squares': (s) => {
    const [n, parts] = [slab(s), slab(s) / LARS_PART];
    // Every part whole: the kernel's own test inputs leave half of each out.
    const ends = Uint32Array.from({ length: 2 * parts }, (_, i) => LARS_PART * ((i + 1) >> 1));
    const inputs = { ends, group: new Uint32Array(n / ADAMW_BLOCK), groups: [0.05, 1, 0, 1] };
    return [{ problem: { n, parts, groupCount: 2 }, inputs }];
  },
  'layernorm.backward': one((s, { profile }) => ({
    rows: rowsOf(s),
    cols: s.dim,
    groups: layernormGroups(rowsOf(s), profile),
    ADD: true,
  })),
  'layernorm.forward': one((s) => ({ rows: rowsOf(s), cols: s.dim, eps: EPS, ADD: true })),
  'loss.backward': one(pixels),
  'loss.finish': one(({ batch, patches }) => ({ count: batch * patches })),
  'loss.forward': one(pixels),
  'loss.target': one(pixels),
  'lossscale.check': one((s) => ({ n: slab(s), groups: sumGroups(slab(s)) })),
  'lossscale.update': one((s) => ({ groups: sumGroups(slab(s)), interval: 2000 })),
  'mix.blend': one((s) => ({ ...images(s), batch: 2 * Math.ceil(s.batch / 2) })),
  'mix.erase': one((s) => ({ ...images(s), seed: 7, stream: 3 })),
  'patch.backward': one(pixels),
  'patch.forward': one((s) => ({ ...pixels(s), count: s.keep })),
  'pool.backward': pooled,
  'pool.forward': pooled,
  'randaugment.apply': operations,
  'randaugment.lut': operations,
  'random.uniform': one(({ batch, patches }) => ({ samples: batch, n: patches, seed: 1, stream: 1 })),
  'reduce.columns': one((s, { profile }) => ({
    rows: rowsOf(s),
    cols: s.dim,
    groups: columnGroups(rowsOf(s), s.dim, profile),
    stride: s.dim,
    offset: 0,
  })),
  'reduce.sum': one((s) => ({ n: slab(s), groups: sumGroups(slab(s)), SQUARE: true })),
  // Three groups: with two, the kernel's own test inputs say to skip the step.
  'sgd.update': one((s) => ({ n: slab(s), groupCount: 3, tensors: 1 })),
};
