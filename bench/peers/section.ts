// A kept run of the bench of peers as a section of the page: conditions, a table, what did not work.
import { PEERS } from './catalogue.ts';
import type { PeersReport, PeerUsed, PieceResult, Row } from './results.ts';
import { milliseconds, ratioText, short } from './table.ts';

export function peersSection(report: PeersReport): string {
  const [ours, ...peers] = report.peers;
  const columns = peers.filter(({ name }) => report.pieces.some((piece) => cellOf(piece, name)?.ms !== undefined));
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const body = report.pieces.map((piece) => {
    const own = cellOf(piece, ours.name);
    return line([
      piece.name,
      own?.ms === undefined ? '' : `${milliseconds(own.ms)}, ${short(piece.flops / own.ms / 1e6)} GFLOP/s`,
      ...columns.map(({ name }) => cell(cellOf(piece, name), own?.ms)),
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
    ...report.peers.slice(1).map((peer) => `- ${peer.name}: ${peer.version}, ${peer.device}; ${noteOf(peer)}.`),
  ].join('\n');
}

/** Adapter and vector width in few words, for headings and plots. */
export function title({ adapter, environment }: PeersReport): string {
  const mesa = /Mesa [\d.]+/.exec(adapter)?.[0];
  const width = environment.LP_NATIVE_VECTOR_WIDTH;
  return mesa ? `lavapipe of ${mesa}${width ? `, ${width}-bit vectors` : ''}` : adapter;
}

/** In the catalogue's words of today, so that results of different days say the same of the same peer. */
const noteOf = ({ name, note }: PeerUsed): string => PEERS.find((peer) => peer.name === name)?.note ?? note;

const cellOf = ({ rows }: PieceResult, peer: string): Row | undefined => rows.find((row) => row.peer === peer);

/** A time and how many times ours it is. */
function cell(row: Row | undefined, ours: number | undefined): string {
  if (row?.ms === undefined) return '';
  const ratio = ratioText(row, ours, 'x');
  return `${milliseconds(row.ms)}, ${row.ratio === undefined ? ratio : `**${ratio}**`}`;
}

const reason = (piece: string, { peer, why }: Row): string => `- ${piece}, ${peer}: ${why}.`;

function conditions({ adapter, profile, settings, blas, cpu, cores, node, load }: PeersReport): string {
  const busy = load > 0.5 * cores ? ` The machine was not quiet (load ${load.toFixed(1)}).` : '';
  const more = [settings && ` (settings: ${settings})`, blas && `; PyTorch with ${blas}`].map((text) => text || '');
  return `${adapter}, profile ${profile}${more[0]}; ${cores} x ${cpu}; Node ${node}${more[1]}.${busy}`;
}
