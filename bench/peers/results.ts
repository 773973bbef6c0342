// What a run of the bench of peers leaves: one JSON object with its conditions, kept under bench/results.

export interface Row {
  readonly peer: string;
  /** Median of the samples, each the mean of `times` runs; left out, with `why`, where there is none. */
  readonly ms?: number;
  /** Median CPU time of a run, all threads of the process. */
  readonly cpu_ms?: number;
  readonly samples?: readonly number[];
  readonly times?: number;
  /** The first run of all, compilation included. */
  readonly first_ms?: number;
  readonly losses?: readonly number[];
  /** How far its result is from ours (bench/peers/agree.ts). */
  readonly error?: number;
  /** ms / ours; left out, with `why`, where its numbers are not ours. */
  readonly ratio?: number;
  readonly why?: string;
}

export interface PieceResult {
  readonly name: string;
  readonly flops: number;
  readonly rows: readonly Row[];
}

export interface PeerUsed {
  readonly name: string;
  readonly version: string;
  readonly device: string;
  readonly note: string;
}

export interface Conditions {
  /** YYYY-MM-DD */
  readonly date: string;
  readonly command: string;
  /** Of this project; with a + where files were changed since. */
  readonly commit: string;
  /** The adapter and its driver, in its own words. */
  readonly adapter: string;
  readonly profile: string;
  /** Which measured settings our kernels ran with; older results do not say. */
  readonly settings?: string;
  /** What multiplies the matrices of PyTorch, where it ran; older results do not say. */
  readonly blas?: string;
  /** The driver's own variables that were set. */
  readonly environment: Readonly<Record<string, string>>;
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  /** Load of the machine over the minute before. */
  readonly load: number;
}

export interface PeersReport extends Conditions {
  readonly kind: 'peers';
  /** This engine first. */
  readonly peers: readonly PeerUsed[];
  /** Why others were not measured, by name. */
  readonly absent: Readonly<Record<string, string>>;
  readonly pieces: readonly PieceResult[];
}
