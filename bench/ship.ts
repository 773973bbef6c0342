// Writes what `tesserae tune` measured into engine/shipped.ts, where it beat the kernels' own choice clearly:
//     npx tesserae tune --again && npx tesserae run bench/ship.ts
//     npx tesserae run bench/ship.ts FILE      what was measured on another machine: a table of its cache folder's picks/
// For a quiet machine: what ships is what everyone with such an adapter begins with.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { fail } from '../engine/errors.ts';
import { writeFileAtomic } from '../engine/node/files.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { asTable, type PickTable } from '../engine/picks.ts';
import { SHIPPED } from '../engine/shipped.ts';
import { pickFolder } from '../mae/cli/picks.ts';

/** Below this, the rule is as good: a figure of one machine. */
const LEAST_GAIN = 0.05;

const [file] = process.argv.slice(2);
const measured = file ? asTable(JSON.parse(readFileSync(file, 'utf8'))) : await ownTable();
if (!measured?.kind) fail(`ship: ${file} is no table of picks that says which kind of adapter it is of`);
const { kind } = measured;
const clear = Object.entries(measured.picks).filter(([, { own, best }]) => best < (1 - LEAST_GAIN) * own);
// What was measured anew and is no gain any more is taken out.
const before = SHIPPED.find(({ adapter }) => adapter === kind)?.picks ?? {};
const kept = Object.entries(before).filter(([key]) => !measured.picks[key]);
const table: PickTable = { version: 1, adapter: kind, picks: Object.fromEntries([...kept, ...clear]) };
const tables = [...SHIPPED.filter(({ adapter }) => adapter !== kind), table];
const text = `// Picks that ship: measured on quiet machines by \`tesserae tune\`, and written here by bench/ship.ts. A user's own go before them.
import type { PickTable } from './picks.ts';

export const SHIPPED: readonly PickTable[] = ${JSON.stringify(tables)};
`;
const path = fileURLToPath(new URL('../engine/shipped.ts', import.meta.url));
await writeFileAtomic(path, text);
process.stdout.write(`${path}: ${clear.length} of ${Object.keys(measured.picks).length} picks for ${kind}; now\n`);
process.stdout.write('npx biome check --write engine/shipped.ts\n');

/** What was measured on this machine's adapter. */
async function ownTable(): Promise<PickTable> {
  using device = await openDawn();
  const { id, kind } = device.adapter;
  const table = await pickFolder().read(id);
  return table ? { ...table, kind } : fail(`ship: nothing was measured on ${id}; run tesserae tune first`);
}
