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
  /** Kernels that it is to test. */
  readonly kernels?: number;
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

/** How much of what was to be checked was not, in words; `nothing`: checks were asked for, and none was made. */
export function checksOf({ parts }: Pick<Report, 'parts'>): { text: string; nothing: boolean } {
  const count = (kind: string, what: string): { text: string; made: number; asked: boolean } => {
    const mine = parts.filter((part) => part.kind === kind);
    const made = mine.flatMap(({ rows }) => rows).filter(({ passed }) => passed !== null).length;
    const all = mine.reduce((sum, { kernels, rows }) => sum + (kernels ?? rows.length), 0);
    const asked = mine.length > 0;
    return { text: asked ? `; ${all - made} of ${all} ${what} not tested` : '', made, asked };
  };
  const found = [count('conformance', 'conformance cases'), count('tests', 'kernels')];
  return {
    text: found.map(({ text }) => text).join(''),
    nothing: found.some(({ asked, made }) => asked && made === 0),
  };
}
