// A run of the bench of peers as text for a terminal.
import picocolors from 'picocolors';
import { columns } from '../../mae/cli/command.ts';
import type { PieceResult, Row } from './results.ts';

/** Three digits that mean something. */
export const short = (n: number): string => (n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toPrecision(2));

export const milliseconds = (ms: number): string => (ms >= 10_000 ? `${short(ms / 1000)} s` : `${short(ms)} ms`);

/** How often ours. In brackets where the numbers are not ours: such a time is information, no comparison. */
export const ratioText = ({ ms, ratio }: Row, ours: number | undefined, times: string): string => {
  if (ratio !== undefined) return `${short(ratio)}${times}`;
  return ms === undefined || !ours ? '' : `(${short(ms / ours)}${times}, wrong numbers)`;
};

export function pieceTable({ name, flops, rows }: PieceResult): string[] {
  const measured = rows.filter((row) => row.ms !== undefined);
  const head = ['', 'median', 'GFLOP/s', 'of ours', 'CPU time', 'first run', 'differs by'].map((text) =>
    picocolors.dim(text),
  );
  const body = measured.map((row) => [
    row.peer,
    milliseconds(row.ms as number),
    short(flops / (row.ms as number) / 1e6),
    ratioText(row, measured[0].ms, ' x'),
    milliseconds(row.cpu_ms as number),
    milliseconds(row.first_ms as number),
    row.error === undefined ? '' : row.error.toExponential(1),
  ]);
  return [
    picocolors.bold(name),
    ...columns([head, ...body], [1, 2, 3, 4, 5, 6]).map((line) => `  ${line}`),
    ...rows.filter((row) => row.why).map((row) => `  ${reasonLine(row)}`),
  ];
}

const reasonLine = ({ peer, why }: Row): string => `${peer}  ${why}`;
