// Matrix product with fused epilogues, batched and strided: the three layouts that a linear layer and its gradients need.
import { fail } from '../errors.ts';
import { MATRIX_FEATURES } from '../lib/adapter.ts';
import erf from '../lib/erf.wgsl';
import { ceilDiv, defineKernel, fold, type Grid, variant } from '../kernel.ts';
import { cpuCandidates, cpuVecCandidates, matrixCandidates, simtCandidates, vecCandidates } from './candidates.ts';
import blocks from './blocks.wgsl';
import eights from './eights.wgsl';
import epilogueVec from './epilogue.vec.wgsl';
import epilogue from './epilogue.wgsl';
import cpu from './gemm.cpu.wgsl';
import cpuVec from './gemm.cpuvec.wgsl';
import matrix from './gemm.matrix.wgsl';
import reduce from './gemm.reduce.wgsl';
import reduceVec from './gemm.reduce.vec.wgsl';
import * as ref from './gemm.ref.ts';
import simt from './gemm.simt.wgsl';
import vec from './gemm.vec.wgsl';
import { dense, extent, type GemmProblem, inEights, inQuads, NT, TN } from './problem.ts';
import partials from './partials.wgsl';
import quads from './quads.wgsl';
import rowsums from './rowsums.wgsl';
import slices from './slices.wgsl';
import tile from './tile.wgsl';
import { cpuTile, cpuVecTile, type MatrixTile, matrixTile, simtTile, tiles, vecTile } from './tune.ts';

export { dense, EPILOGUES, type GemmProblem, inQuads, NN, NT, TN } from './problem.ts';
export { splitFor, sumsApart } from './tune.ts';

type Tiled = GemmProblem & Pick<MatrixTile, 'MM' | 'MN' | 'SM' | 'SN' | 'RM' | 'RN'>;

type Stored = { A16: boolean; B16: boolean };

const lib = [tile, epilogue, erf];
const libVec = [tile, epilogueVec, erf];
const libBlocks = [blocks, ...libVec];
const libMatrix = [slices, rowsums, ...libVec];
const matrixGrid = (p: Tiled): Grid => fold(tiles(p, p.SM * p.RM * p.MM, p.SN * p.RN * p.MN) * p.splits);

/**
 * c = epilogue(op(a) op(b)); with DBIAS (TN) also dbias (splits, m), the sums of op(a) over k. With splits > 1
 * (EPILOGUE 0), c and dbias hold partial sums that gemm.reduce finishes.
 */
export const gemm = defineKernel({
  name: 'gemm',
  variants: {
    simt: variant(vec, {
      lib: libBlocks,
      grid: (p) => fold(tiles(p, p.BM, p.BN) * p.splits),
      tune: vecTile,
      candidates: vecCandidates,
      otherwise: variant(simt, {
        lib,
        grid: (p) => fold(tiles(p, p.BM, p.BN) * p.splits),
        tune: simtTile,
        candidates: simtCandidates,
      }),
    }),
    cpu: variant(cpu, {
      lib,
      needs: ['subgroups'],
      grid: (p) => fold(tiles(p, p.TM, p.TN * p.SG) * p.splits),
      tune: (p, adapter) => (cpuVecTile(p, adapter) ? null : cpuTile(p, adapter)),
      candidates: cpuCandidates,
      otherwise: variant(cpuVec, {
        lib: libVec,
        needs: ['subgroups'],
        grid: (p) => fold(tiles(p, p.TM, p.TV * p.SG * 4) * p.splits),
        tune: cpuVecTile,
        candidates: cpuVecCandidates,
      }),
    }),
    matrix: variant(matrix, {
      lib: [eights, ...libMatrix],
      needs: MATRIX_FEATURES,
      grid: matrixGrid,
      tune: (p, adapter) =>
        (p as Partial<Stored>).A16 && (p as Partial<Stored>).B16 && inEights(p) ? matrixTile(p, adapter) : null,
      candidates: matrixCandidates,
      halfOperands: true,
      eights: ['A16', 'B16'],
      otherwise: variant(matrix, {
        lib: [quads, ...libMatrix],
        needs: MATRIX_FEATURES,
        grid: matrixGrid,
        tune: matrixTile,
        candidates: matrixCandidates,
        halfOperands: true,
      }),
    }),
  },
  options: { LAYOUT: 0, EPILOGUE: 0, DBIAS: false, A16: false, B16: false, C16: false },
  half: { a: 'A16', b: 'B16', r: 'C16', c: 'C16', u: 'C16' },
  shapes: (p) => {
    if (p.splits > 1 && (p.EPILOGUE !== 0 || p.C16)) {
      fail(
        `gemm: partial sums are f32 and take no epilogue: splits is ${p.splits}, EPILOGUE ${p.EPILOGUE}, C16 ${p.C16}; give them to gemm.reduce`,
      );
    }
    if (p.DBIAS && (p.LAYOUT !== TN || p.batch > 1)) {
      fail(`gemm: DBIAS sums op(a) of one TN product, got LAYOUT ${p.LAYOUT}, batch ${p.batch}; use reduce.columns`);
    }
    if ((p.A16 || p.B16 || p.C16) && !inQuads(p)) {
      fail(
        `gemm: f16 is stored in fours: n ${p.n}, ${p.LAYOUT === TN ? `m ${p.m}` : `k ${p.k}`} and all strides and offsets must be multiples of 4; cast to f32 otherwise`,
      );
    }
    const c = [extent(p, 'C', p.m, p.n)];
    return {
      a: [p.LAYOUT === TN ? extent(p, 'A', p.k, p.m) : extent(p, 'A', p.m, p.k)],
      b: [p.LAYOUT === NT ? extent(p, 'B', p.n, p.k) : extent(p, 'B', p.k, p.n)],
      bias: p.EPILOGUE >= 1 && p.EPILOGUE <= 3 ? [p.n] : null,
      r: p.EPILOGUE >= 3 ? c : null,
      c,
      u: p.EPILOGUE === 2 ? c : null,
      dbias: p.DBIAS ? [p.splits, p.m] : null,
    };
  },
  sizes: ['m', 'n', 'k', 'batch', 'splits'],
  flops: ({ m, n, k, batch }) => 2 * m * n * k * batch,
  reference: ref.gemm,
  cases: [
    dense({ m: 1, n: 1, k: 1 }),
    { ...dense({ m: 7, n: 67, k: 37 }), EPILOGUE: 1 },
    { ...dense({ m: 65, n: 33, k: 17, LAYOUT: NT }), LAYOUT: NT, EPILOGUE: 2 },
    { ...dense({ m: 31, n: 129, k: 43, LAYOUT: TN }), LAYOUT: TN, EPILOGUE: 3 },
    { ...dense({ m: 63, n: 65, k: 15, LAYOUT: NT }), LAYOUT: NT, EPILOGUE: 4 },
    dense({ m: 130, n: 96, k: 64 }),
    { ...dense({ m: 128, n: 64, k: 32, LAYOUT: TN }), LAYOUT: TN },
    { ...dense({ m: 9, n: 21, k: 40, batch: 5, LAYOUT: NT }), LAYOUT: NT },
    // Enough tiles for the large ones of simt.
    dense({ m: 65, n: 67, k: 9, batch: 33 }),
    // Enough 64 x 64 tiles for simt's large tile, with vector loads.
    dense({ m: 68, n: 64, k: 20, batch: 65 }),
    { ...dense({ m: 68, n: 64, k: 20, batch: 65, LAYOUT: NT }), LAYOUT: NT },
    { ...dense({ m: 68, n: 64, k: 20, batch: 65, LAYOUT: TN }), LAYOUT: TN },
    { ...dense({ m: 37, n: 19, k: 131, LAYOUT: TN }), LAYOUT: TN, DBIAS: true },
    { ...dense({ m: 132, n: 68, k: 45, LAYOUT: TN }), LAYOUT: TN, DBIAS: true },
    { ...dense({ m: 36, n: 100, k: 70, LAYOUT: TN }), LAYOUT: TN, DBIAS: true, A16: true, B16: true },
    // And enough 128 x 128 ones.
    dense({ m: 68, n: 76, k: 20, batch: 256 }),
    // f16, no size a multiple of a tile: a forward pass, its gradients, a split one, and every mixture.
    { ...dense({ m: 37, n: 68, k: 20, LAYOUT: NT }), LAYOUT: NT, EPILOGUE: 1, A16: true, B16: true, C16: true },
    { ...dense({ m: 70, n: 132, k: 36, LAYOUT: NT }), LAYOUT: NT, EPILOGUE: 2, A16: true, B16: true, C16: true },
    { ...dense({ m: 33, n: 36, k: 68, LAYOUT: NT }), LAYOUT: NT, EPILOGUE: 3, A16: true, B16: true },
    { ...dense({ m: 67, n: 44, k: 28 }), EPILOGUE: 4, B16: true, C16: true },
    { ...dense({ m: 5, n: 100, k: 12, batch: 3 }), A16: true, B16: true, C16: true },
    { ...dense({ m: 36, n: 76, k: 131, splits: 3, LAYOUT: TN }), LAYOUT: TN, A16: true, B16: true },
    { ...dense({ m: 12, n: 4, k: 7, LAYOUT: TN }), LAYOUT: TN, EPILOGUE: 3, A16: true, C16: true },
    { ...dense({ m: 68, n: 20, k: 50, LAYOUT: TN }), LAYOUT: TN, B16: true },
    { ...dense({ m: 1, n: 4, k: 4 }), C16: true },
    { ...dense({ m: 9, n: 8, k: 24 }), EPILOGUE: 2, A16: true },
    { ...dense({ m: 68, n: 64, k: 20, batch: 65, LAYOUT: NT }), LAYOUT: NT, A16: true, B16: true, C16: true },
    // Splits: a short last part, and an empty one.
    { ...dense({ m: 20, n: 36, k: 131, splits: 3, LAYOUT: TN }), LAYOUT: TN },
    dense({ m: 5, n: 9, k: 17, batch: 2, splits: 4 }),
    { ...dense({ m: 41, n: 19, k: 131, splits: 3, LAYOUT: TN }), LAYOUT: TN, DBIAS: true },
    { ...dense({ m: 132, n: 68, k: 17, splits: 4, LAYOUT: TN }), LAYOUT: TN, DBIAS: true },
    { ...dense({ m: 36, n: 76, k: 131, splits: 3, LAYOUT: TN }), LAYOUT: TN, DBIAS: true, A16: true, B16: true },
    // Attention's scores and weighted values, read from a fused (2, 11, 3, heads 3, 12) and written as (2, 11, 3 * 12).
    { ...dense({ m: 11, n: 11, k: 12, batch: 6 }), LAYOUT: NT, ...heads(2, 11, 3, 12).scores },
    { ...dense({ m: 11, n: 12, k: 11, batch: 6 }), ...heads(2, 11, 3, 12).values },
  ],
});

/** Workgroups of gemm.reduce: those of dbias, then those of so many threads of c. */
const reduceGrid = (threads: number, { rows, DBIAS, WG }: { rows: number; DBIAS: boolean; WG: number }): Grid =>
  fold(ceilDiv(threads, WG) + (DBIAS ? ceilDiv(rows, WG) : 0));

/**
 * c = epilogue(sum over splits of parts): the second pass of a gemm with splits > 1. With DBIAS also dbias (rows), the sum of `groups`
 * dbiasParts: those of the splits, or what the first stage of a column sum left.
 */
export const gemmReduce = defineKernel({
  name: 'gemm.reduce',
  variants: {
    simt: variant(reduceVec, {
      lib: [partials, epilogueVec, erf],
      grid: (p) => reduceGrid((p.rows * p.n) / 4, p),
      tune: ({ n }) => (n % 4 === 0 ? {} : null),
      otherwise: variant(reduce, { lib: [partials, epilogue, erf], grid: (p) => reduceGrid(p.rows * p.n, p) }),
    }),
  },
  options: { EPILOGUE: 0, DBIAS: false, C16: false },
  half: { r: 'C16', c: 'C16', u: 'C16' },
  shapes: ({ splits, rows, n, groups, EPILOGUE, DBIAS }) => ({
    parts: [splits, rows, n],
    bias: EPILOGUE >= 1 && EPILOGUE <= 3 ? [n] : null,
    r: EPILOGUE >= 3 ? [rows, n] : null,
    c: [rows, n],
    u: EPILOGUE === 2 ? [rows, n] : null,
    dbiasParts: DBIAS ? [groups, rows] : null,
    dbias: DBIAS ? [rows] : null,
  }),
  flops: ({ splits, rows, n }) => splits * rows * n,
  reference: ref.reduce,
  cases: [
    { splits: 1, rows: 1, n: 1, groups: 1 },
    { splits: 3, rows: 7, n: 5, groups: 3, EPILOGUE: 1 },
    { splits: 2, rows: 13, n: 11, groups: 2, EPILOGUE: 2 },
    { splits: 5, rows: 3, n: 65, groups: 5, EPILOGUE: 3 },
    { splits: 7, rows: 64, n: 33, groups: 7, EPILOGUE: 4 },
    { splits: 3, rows: 9, n: 68, groups: 3, EPILOGUE: 2, C16: true },
    { splits: 2, rows: 5, n: 12, groups: 2, EPILOGUE: 3, C16: true },
    { splits: 4, rows: 31, n: 4, groups: 4, EPILOGUE: 4, C16: true },
    { splits: 2, rows: 17, n: 36, groups: 2, EPILOGUE: 1 },
    { splits: 5, rows: 131, n: 1, groups: 5, DBIAS: true },
    { splits: 3, rows: 7, n: 37, groups: 3, DBIAS: true },
    { splits: 4, rows: 131, n: 4, groups: 4, DBIAS: true },
    { splits: 2, rows: 66, n: 20, groups: 2, DBIAS: true, C16: true },
    { splits: 2, rows: 65, n: 7, groups: 43, DBIAS: true },
    { splits: 3, rows: 128, n: 12, groups: 24, DBIAS: true },
  ],
});

/** Strides of attention's two products over a fused qkv (batch, length, 3, heads, dim). */
function heads(batch: number, length: number, count: number, dim: number) {
  const row = 3 * count * dim;
  const qkv = {
    inner: count,
    lda: row,
    strideA: length * row,
    innerA: dim,
    ldb: row,
    strideB: length * row,
    innerB: dim,
  };
  const scores = { strideC: count * length * length, innerC: length * length };
  const perHead = { lda: length, strideA: count * length * length, innerA: length * length };
  return {
    scores: { ...qkv, ...scores, offsetB: count * dim, splitC: batch * count * length * length },
    values: {
      ...qkv,
      ...perHead,
      offsetB: 2 * count * dim,
      ldc: count * dim,
      strideC: length * count * dim,
      innerC: dim,
    },
  };
}
