// What the bench and a peer's process say to each other: a JSON object a line, ours on stdin, theirs on stdout after a mark.

/** An answer's line begins so; whatever else a library prints on stdout is no answer. */
export const MARK = '@peer ';

/** One piece of work, the same for everyone. Sizes of gemm are m x n x k; attention is (batch, heads, tokens, dim). */
export type Work =
  | { readonly kind: 'gemm'; readonly m: number; readonly n: number; readonly k: number }
  | {
      readonly kind: 'attention';
      readonly batch: number;
      readonly heads: number;
      readonly tokens: number;
      readonly dim: number;
    }
  | { readonly kind: 'layernorm'; readonly rows: number; readonly cols: number; readonly eps: number }
  | ({ readonly kind: 'step' } & StepWork);

/** Forward, backward and AdamW of a masked autoencoder; weights lie under their state-dict names among the arrays. */
export interface StepWork {
  readonly image: number;
  readonly patch: number;
  readonly mask_ratio: number;
  readonly batch: number;
  readonly embed_dim: number;
  readonly depth: number;
  readonly num_heads: number;
  readonly decoder_embed_dim: number;
  readonly decoder_depth: number;
  readonly decoder_num_heads: number;
  readonly ln_eps: number;
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weight_decay: number;
  /** Parameters in order, and which of them decay. */
  readonly weights: readonly string[];
  readonly decaying: readonly string[];
}

/** Where an array lies in the file of a piece of work: f32, row-major. */
export interface Place {
  /** In bytes. */
  readonly offset: number;
  readonly shape: readonly number[];
}

export type Request =
  | { readonly do: 'hello' }
  /** Loads the inputs and runs once; the result goes to `out`, f32. */
  | {
      readonly do: 'prepare';
      readonly work: Work;
      readonly file: string;
      readonly arrays: Readonly<Record<string, Place>>;
      readonly out: string;
    }
  /** Runs what was prepared `times` times and waits for the last. */
  | { readonly do: 'measure'; readonly times: number }
  | { readonly do: 'drop' };

export interface Hello {
  /** Library and version. */
  readonly version: string;
  /** What it runs on, in its own words. */
  readonly device: string;
  /** Of ours: how many measured settings its kernels have, and from where. */
  readonly settings?: string;
  /** Of a library on the CPU: what multiplies its matrices. */
  readonly blas?: string;
}

export interface Timing {
  /** Of one run, waiting included; the first run compiles. */
  readonly ms: number;
  /** CPU time of the whole process for one run, all threads. */
  readonly cpu_ms: number;
  /** Of a training step. */
  readonly loss?: number;
}

/** `unable`: the library cannot do this, and why. `error`: it should have, and went wrong. */
export type Answer<T> = { readonly ok: T } | { readonly unable: string } | { readonly error: string };
