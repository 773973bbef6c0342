// A kept run of the bench of peers as a section of the page: conditions, a table, what did not work.
import type { PeersReport, PieceResult, Row } from './results.ts';
import { milliseconds, short } from './table.ts';

export function peersSection(report: PeersReport): string {
  const [ours, ...peers] = report.peers;
  const columns = peers.filter(({ name }) => report.pieces.some((piece) => cellOf(piece, name)?.ms !== undefined));
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const body = report.pieces.map((piece) => {
    const own = cellOf(piece, ours.name);
    return line([
      piece.name,
      own?.ms === undefined ? '' : `${milliseconds(own.ms)}, ${short(piece.flops / own.ms / 1e6)} GFLOP/s`,
      ...columns.map(({ name }) => cell(cellOf(piece, name))),
    ]);
  });
  return [
    `### ${title(report)}`,
    '',
    `${conditions(report)} ${report.date}, commit ${report.commit}: \`${report.command}\``,
    '',
    line(['', ours.name, ...columns.map(({ name }) => name)]),
    line(['---', ...[ours, ...columns].map(() => '---:')]),
    ...body,
    '',
    ...report.pieces.flatMap(({ name, rows }) => rows.filter((row) => row.why).map((row) => reason(name, row))),
    '',
    ...Object.entries(report.absent).map(([name, why]) => `- ${name} was left out: ${why}.`),
    ...report.peers.slice(1).map((peer) => `- ${peer.name}: ${peer.version}, ${peer.device}; ${peer.note}.`),
  ].join('\n');
}

/** Adapter and vector width in few words, for headings and plots. */
export function title({ adapter, environment }: PeersReport): string {
  const mesa = /Mesa [\d.]+/.exec(adapter)?.[0];
  const width = environment.LP_NATIVE_VECTOR_WIDTH;
  return mesa ? `lavapipe of ${mesa}${width ? `, ${width}-bit vectors` : ''}` : adapter;
}

const cellOf = ({ rows }: PieceResult, peer: string): Row | undefined => rows.find((row) => row.peer === peer);

/** A time and how many times ours it is; no ratio where the numbers are not ours. */
function cell(row: Row | undefined): string {
  if (row?.ms === undefined) return '';
  return `${milliseconds(row.ms)}, ${row.ratio === undefined ? 'wrong' : `**${short(row.ratio)}x**`}`;
}

const reason = (piece: string, { peer, why }: Row): string => `- ${piece}, ${peer}: ${why}.`;

function conditions({ adapter, profile, cpu, cores, node, load }: PeersReport): string {
  const busy = load > 0.5 * cores ? ` The machine was not quiet (load ${load.toFixed(1)}).` : '';
  return `${adapter}, profile ${profile}; ${cores} x ${cpu}; Node ${node}.${busy}`;
}
