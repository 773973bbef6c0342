// PyTorch's figures of an earlier run on the same kind of card, and one that both runs measured, which says how far they may be compared.
import { readFileSync } from 'node:fs';
import { fail } from '../../engine/errors.ts';
import { reasonOf } from '../../engine/node/file-errors.ts';
import { type PartResult, type Report, type Row, rowsOf } from './report.ts';

/** What a report says of PyTorch's figures that are not its own. */
interface Earlier {
  readonly began: string;
  readonly torch: string;
  readonly driver: string;
  readonly clocks: string;
  /** What both runs measured, in milliseconds; null where this one has not. */
  readonly anchor: { readonly what: string; readonly there: number; readonly here: number } | null;
}

interface Conditions {
  readonly adapter?: Row;
  readonly nvidia?: { readonly before: Readonly<Record<string, string>> | null };
  readonly torch?: string;
  readonly clocks?: string;
}

const conditionsOf = ({ conditions }: Report): Conditions => conditions as Conditions;
const cardOf = (report: Report): string =>
  conditionsOf(report).nvidia?.before?.name ?? String(conditionsOf(report).adapter?.description);

/** Reads what `--torch_from` names, before anything is measured. */
export function readEarlier(path: string): Report {
  let report: Report;
  try {
    report = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    return fail(
      error instanceof SyntaxError
        ? `--torch_from ${path} is no JSON`
        : `--torch_from ${path}: ${reasonOf(error, { absent: 'name a result of bench gpu' })}`,
    );
  }
  if (report.tool !== 'tesserae bench gpu') fail(`--torch_from ${path} is no result of bench gpu`);
  if (!rowsOf(report, 'torch').some(({ ms }) => ms)) fail(`--torch_from ${path} holds no figure of PyTorch`);
  return report;
}

/** Fails where the cards differ: figures of another one would be held against ours. */
export function sameCard(report: Report, earlier: Report): void {
  const [here, there] = [cardOf(report), cardOf(earlier)];
  if (here !== there) fail(`--torch_from was measured on ${there}, this is ${here}: measure PyTorch here`);
}

const keyOf = ({ what, shape, model, batch, mode }: Row): string =>
  [what, shape, model, batch === undefined ? undefined : `batch ${batch}`, mode]
    .filter((part) => part !== undefined)
    .join(', ');

/** Adds what this report did not measure itself, and says where it is from. */
export function addEarlier(report: Report, earlier: Report): void {
  const own = new Map(rowsOf(report, 'torch').flatMap((row) => (row.ms ? [[keyOf(row), row] as const] : [])));
  const rows = rowsOf(earlier, 'torch');
  const shared = rows.find((row) => row.ms && own.has(keyOf(row)));
  const { torch, clocks, nvidia } = conditionsOf(earlier);
  const from: Earlier = {
    began: earlier.began,
    torch: torch ?? 'unknown',
    driver: nvidia?.before?.driver_version ?? 'unknown',
    clocks: clocks ?? 'as the driver sets them',
    anchor: shared ? { what: keyOf(shared), there: Number(shared.ms), here: Number(own.get(keyOf(shared))?.ms) } : null,
  };
  report.conditions = { ...report.conditions, torch_from: from };
  const part: PartResult = {
    name: `torch of ${earlier.began}`,
    kind: 'torch',
    status: 'ok',
    seconds: 0,
    limit: 0,
    rows: rows.filter((row) => !own.has(keyOf(row))),
  };
  report.parts.push(part);
}

/** In words, for tables and pages; null where all figures are of one run. */
export function earlierText(report: Report): string | null {
  const from = (report.conditions as { torch_from?: Earlier }).torch_from;
  if (!from) return null;
  const { anchor } = from;
  const ms = (value: number): string => `${value.toPrecision(4)} ms`;
  return `PyTorch's figures are of a run of ${from.began.slice(0, 16).replace('T', ' ')} UTC on the same kind of card (driver ${from.driver}, clocks ${from.clocks}); ${
    anchor
      ? `${anchor.what} took ${ms(anchor.there)} then and ${ms(anchor.here)} in this run`
      : 'nothing of it was measured again'
  }.`;
}
