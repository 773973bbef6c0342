// What `bench gpu` finds out, as it is written to disk: parts with rows of plain values.
import type { Precision } from '../../engine/trace.ts';
import type { MatrixShape, Profile } from '../../kernels/kernel.ts';
import type { GpuOptions } from '../../mae/cli/benchgpu.ts';

export type Value = string | number | boolean | null;
export type Row = Readonly<Record<string, Value>>;

/** What the command line asks for. */
export type Options = GpuOptions;

/** How kernels ran: under which profile, with which operands. */
export interface Mode {
  readonly profile: Profile;
  readonly precision: Precision;
}

export const modeText = ({ profile, precision }: Mode): string => `${profile} ${precision}`;

/** What the first part finds of the adapter. */
export interface Found {
  readonly software: boolean;
  readonly profile: Profile;
  readonly subgroup: number;
  readonly matrices: readonly MatrixShape[];
}

export interface PartResult {
  readonly name: string;
  readonly kind: string;
  status: 'ok' | 'failed' | 'out of time' | 'skipped';
  seconds: number;
  /** Seconds that it could have had. */
  readonly limit: number;
  /** Why it did not end well. */
  error?: string;
  readonly rows: Row[];
}

export interface Report {
  readonly tool: 'tesserae bench gpu';
  readonly version: string;
  readonly began: string;
  seconds: number;
  readonly command: string;
  readonly options: Options;
  /** Adapter, driver, clocks, versions. */
  conditions: Record<string, unknown>;
  readonly parts: PartResult[];
}

export const rowsOf = (report: Report, kind: string): Row[] =>
  report.parts.filter((part) => part.kind === kind).flatMap((part) => part.rows);
