// The masked autoencoder once more, in f64 and as plainly as can be: one image at a time, loops, a tape. It shares nothing with kernels and
// engine, not even a reference, so that what they have in common cannot be wrong in both.
import type { MaeConfig } from '../../mae/model/config.ts';

/** A matrix with its gradient. */
interface Matrix {
  readonly rows: number;
  readonly cols: number;
  readonly x: Float64Array;
  readonly d: Float64Array;
}
type Tape = (() => void)[];

const matrix = (rows: number, cols: number): Matrix => ({
  rows,
  cols,
  x: new Float64Array(rows * cols),
  d: new Float64Array(rows * cols),
});

/** y = x w^T + b, w (out, in). */
function linear(tape: Tape, x: Matrix, w: Matrix, b: Matrix): Matrix {
  const out = b.x.length;
  const y = matrix(x.rows, out);
  const each = (fn: (r: number, o: number, i: number) => void): void => {
    for (let r = 0; r < x.rows; r++) for (let o = 0; o < out; o++) for (let i = 0; i < x.cols; i++) fn(r, o, i);
  };
  each((r, o, i) => void (y.x[r * out + o] += x.x[r * x.cols + i] * w.x[o * x.cols + i]));
  for (let i = 0; i < y.x.length; i++) y.x[i] += b.x[i % out];
  tape.push(() => {
    each((r, o, i) => {
      const dy = y.d[r * out + o];
      x.d[r * x.cols + i] += dy * w.x[o * x.cols + i];
      w.d[o * x.cols + i] += dy * x.x[r * x.cols + i];
    });
    for (let i = 0; i < y.d.length; i++) b.d[i % out] += y.d[i];
  });
  return y;
}

function layernorm(tape: Tape, x: Matrix, w: Matrix, b: Matrix, eps: number): Matrix {
  const { rows, cols } = x;
  const y = matrix(rows, cols);
  const z = new Float64Array(rows * cols);
  const inverse = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    const row = x.x.subarray(r * cols, (r + 1) * cols);
    const mean = row.reduce((s, v) => s + v, 0) / cols;
    inverse[r] = 1 / Math.sqrt(row.reduce((s, v) => s + (v - mean) ** 2, 0) / cols + eps);
    for (let i = 0; i < cols; i++) {
      z[r * cols + i] = (row[i] - mean) * inverse[r];
      y.x[r * cols + i] = z[r * cols + i] * w.x[i] + b.x[i];
    }
  }
  tape.push(() => {
    for (let r = 0; r < rows; r++) {
      let [sum, dot] = [0, 0];
      for (let i = 0; i < cols; i++) {
        const dz = y.d[r * cols + i] * w.x[i];
        sum += dz / cols;
        dot += (dz * z[r * cols + i]) / cols;
        w.d[i] += y.d[r * cols + i] * z[r * cols + i];
        b.d[i] += y.d[r * cols + i];
      }
      for (let i = 0; i < cols; i++)
        x.d[r * cols + i] += inverse[r] * (y.d[r * cols + i] * w.x[i] - sum - z[r * cols + i] * dot);
    }
  });
  return y;
}

/** By its series of positive terms, which loses no digits. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let [term, sum] = [x, x];
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) sum += term *= (2 * x * x) / (2 * n + 1);
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

function gelu(tape: Tape, x: Matrix): Matrix {
  const y = matrix(x.rows, x.cols);
  const phi = x.x.map((v) => (1 + erf(v / Math.SQRT2)) / 2);
  for (let i = 0; i < phi.length; i++) y.x[i] = x.x[i] * phi[i];
  tape.push(() => {
    for (let i = 0; i < phi.length; i++)
      x.d[i] += y.d[i] * (phi[i] + (x.x[i] * Math.exp(-(x.x[i] ** 2) / 2)) / Math.sqrt(2 * Math.PI));
  });
  return y;
}

/** softmax(q k^T / sqrt(each)) v, head by head; qkv (tokens, 3 dim). */
function attention(tape: Tape, qkv: Matrix, heads: number): Matrix {
  const { rows: T } = qkv;
  const dim = qkv.cols / 3;
  const each = dim / heads;
  const y = matrix(T, dim);
  const at = (token: number, part: number, head: number, i: number): number =>
    token * 3 * dim + part * dim + head * each + i;
  for (let h = 0; h < heads; h++)
    for (let t = 0; t < T; t++) {
      const scores = Array.from({ length: T }, (_, s) => {
        let dot = 0;
        for (let i = 0; i < each; i++) dot += qkv.x[at(t, 0, h, i)] * qkv.x[at(s, 1, h, i)];
        return dot / Math.sqrt(each);
      });
      const most = Math.max(...scores);
      const all = scores.reduce((sum, v) => sum + Math.exp(v - most), 0);
      const p = scores.map((v) => Math.exp(v - most) / all);
      for (let s = 0; s < T; s++)
        for (let i = 0; i < each; i++) y.x[t * dim + h * each + i] += p[s] * qkv.x[at(s, 2, h, i)];
      tape.push(() => {
        const dp = p.map((_, s) => {
          let dot = 0;
          for (let i = 0; i < each; i++) dot += y.d[t * dim + h * each + i] * qkv.x[at(s, 2, h, i)];
          return dot;
        });
        const mean = p.reduce((sum, v, s) => sum + v * dp[s], 0);
        for (let s = 0; s < T; s++) {
          const ds = (p[s] * (dp[s] - mean)) / Math.sqrt(each);
          for (let i = 0; i < each; i++) {
            qkv.d[at(s, 2, h, i)] += p[s] * y.d[t * dim + h * each + i];
            qkv.d[at(t, 0, h, i)] += ds * qkv.x[at(s, 1, h, i)];
            qkv.d[at(s, 1, h, i)] += ds * qkv.x[at(t, 0, h, i)];
          }
        }
      });
    }
  return y;
}

/** Rows of several matrices, one after the other: [from, row]. */
function assemble(tape: Tape, list: readonly (readonly [Matrix, number])[]): Matrix {
  const { cols } = list[0][0];
  const y = matrix(list.length, cols);
  for (const [r, [from, row]] of list.entries())
    for (let i = 0; i < cols; i++) y.x[r * cols + i] = from.x[row * cols + i];
  tape.push(() => {
    for (const [r, [from, row]] of list.entries())
      for (let i = 0; i < cols; i++) from.d[row * cols + i] += y.d[r * cols + i];
  });
  return y;
}

function add(tape: Tape, a: Matrix, b: Matrix): Matrix {
  const y = matrix(a.rows, a.cols);
  for (let i = 0; i < y.x.length; i++) y.x[i] = a.x[i] + b.x[i];
  tape.push(() => {
    for (let i = 0; i < y.x.length; i++) {
      a.d[i] += y.d[i];
      b.d[i] += y.d[i];
    }
  });
  return y;
}

interface PlainBatch {
  /** (batch, C, H, W) */
  readonly img: ArrayLike<number>;
  /** (batch, patches); the least `keep` of an image stay. */
  readonly noise: ArrayLike<number>;
  readonly batch: number;
  readonly keep: number;
}

/** Loss and gradients by name. */
interface PlainResult {
  readonly loss: number;
  readonly grads: ReadonlyMap<string, Float64Array>;
}

export function plainMae(
  c: MaeConfig,
  weights: ReadonlyMap<string, ArrayLike<number>>,
  { img, noise, batch, keep }: PlainBatch,
): PlainResult {
  const tape: Tape = [];
  const parameters = new Map<string, Matrix>();
  const get = (name: string, cols: number): Matrix => {
    let found = parameters.get(name);
    if (!found) {
      const x = Float64Array.from(weights.get(name) ?? []);
      found = { rows: x.length / cols, cols, x, d: new Float64Array(x.length) };
      parameters.set(name, found);
    }
    return found;
  };
  const full = (name: string, x: Matrix): Matrix =>
    linear(tape, x, get(`${name}.weight`, x.cols), get(`${name}.bias`, 1));
  const norm = (name: string, x: Matrix): Matrix =>
    layernorm(tape, x, get(`${name}.weight`, x.cols), get(`${name}.bias`, x.cols), c.ln_eps);
  const block = (name: string, x: Matrix, heads: number): Matrix => {
    const attended = attention(tape, full(`${name}.attn.qkv`, norm(`${name}.norm1`, x)), heads);
    const middle = add(tape, x, full(`${name}.attn.proj`, attended));
    const hidden = gelu(tape, full(`${name}.mlp.fc1`, norm(`${name}.norm2`, middle)));
    return add(tape, middle, full(`${name}.mlp.fc2`, hidden));
  };
  const [H, W] = c.img_size;
  const { in_chans: C, patch_size: p } = c;
  const across = W / p;
  const L = (H / p) * across;
  const pixel = (n: number, l: number, ch: number, i: number, j: number): number =>
    img[((n * C + ch) * H + Math.floor(l / across) * p + i) * W + (l % across) * p + j];
  let loss = 0;
  for (let n = 0; n < batch; n++) {
    const order = Array.from({ length: L }, (_, l) => l).sort((a, b) => noise[n * L + a] - noise[n * L + b] || a - b);
    const seen = order.slice(0, keep);
    const rows = matrix(keep, C * p * p);
    for (const [k, l] of seen.entries())
      for (let ch = 0; ch < C; ch++)
        for (let i = 0; i < p; i++)
          for (let j = 0; j < p; j++) rows.x[((k * C + ch) * p + i) * p + j] = pixel(n, l, ch, i, j);
    const emb = full('patch_embed.proj', rows);
    const tokens = assemble(tape, [[get('cls_token', c.embed_dim), 0], ...seen.map((_, k) => [emb, k] as const)]);
    const pos = get('pos_embed', c.embed_dim);
    let x = add(tape, tokens, assemble(tape, [[pos, 0], ...seen.map((l) => [pos, 1 + l] as const)]));
    for (let i = 0; i < c.depth; i++) x = block(`blocks.${i}`, x, c.num_heads);
    const y = full('decoder_embed', norm('norm', x));
    const placed = Array.from({ length: L }, (_, l) => {
      const k = seen.indexOf(l);
      return k < 0 ? ([get('mask_token', c.decoder_embed_dim), 0] as const) : ([y, 1 + k] as const);
    });
    const decoderPos = get('decoder_pos_embed', c.decoder_embed_dim);
    let z = add(
      tape,
      assemble(tape, [[y, 0], ...placed]),
      assemble(
        tape,
        Array.from({ length: 1 + L }, (_, l) => [decoderPos, l] as const),
      ),
    );
    for (let i = 0; i < c.decoder_depth; i++) z = block(`decoder_blocks.${i}`, z, c.decoder_num_heads);
    const pred = full('decoder_pred', norm('decoder_norm', z));
    const values = p * p * C;
    const share = 1 / (batch * (L - keep) * values);
    for (const l of order.slice(keep)) {
      const target = Array.from({ length: values }, (_, v) =>
        pixel(n, l, v % C, Math.floor(v / C / p), Math.floor(v / C) % p),
      );
      const mean = target.reduce((s, v) => s + v, 0) / values;
      const variance = target.reduce((s, v) => s + (v - mean) ** 2, 0) / (values - 1);
      for (const [v, t] of target.entries()) {
        const wanted = c.norm_pix_loss ? (t - mean) / Math.sqrt(variance + 1e-6) : t;
        const off = pred.x[(1 + l) * values + v] - wanted;
        loss += off * off * share;
        pred.d[(1 + l) * values + v] += 2 * off * share;
      }
    }
  }
  for (const back of tape.reverse()) back();
  return { loss, grads: new Map([...parameters].map(([name, { d }]) => [name, d])) };
}

/** The first step of AdamW (Loshchilov & Hutter 2019, algorithm 2), decay where `decays` says so. */
export function plainAdamW(
  weights: ReadonlyMap<string, ArrayLike<number>>,
  grads: ReadonlyMap<string, Float64Array>,
  { lr, decay, betas: [b1, b2] }: { lr: number; decay: (name: string) => number; betas: readonly [number, number] },
): Map<string, Float64Array> {
  return new Map(
    [...weights].map(([name, before]) => {
      const g = grads.get(name) ?? new Float64Array(before.length);
      const after = Float64Array.from(before, (x, i) => {
        const m = ((1 - b1) * g[i]) / (1 - b1);
        const v = ((1 - b2) * g[i] ** 2) / (1 - b2);
        return x - lr * (m / (Math.sqrt(v) + 1e-8) + decay(name) * x);
      });
      return [name, after];
    }),
  );
}
