// Tables of picks: what was measured on one adapter and driver, how it is written down, and which tables a device goes by.
import type { KnobValues } from '../kernels/kernel.ts';
import type { Picks } from '../kernels/picks.ts';
import type { AdapterSummary } from './adapter.ts';
import type { Device } from './device.ts';
import { SHIPPED } from './shipped.ts';

/** The settings that won a shape class. */
export interface MeasuredPick {
  readonly knobs: KnobValues;
  /** Milliseconds of a call, medians: with what the variant chooses by itself, and with these. */
  readonly own: number;
  readonly best: number;
}

/** Measured settings of one adapter, as they are kept. */
export interface PickTable {
  readonly version: 1;
  /** AdapterSummary.id of what was measured; of a shipped table, AdapterSummary.kind. */
  readonly adapter: string;
  /** Of what was measured, AdapterSummary.kind: under which it can ship. */
  readonly kind?: string;
  /** By shape class (kernels/picks.ts). */
  readonly picks: Readonly<Record<string, MeasuredPick>>;
}

/** Where tables are kept between runs, one for every adapter: a folder (node/pickfolder.ts), or IndexedDB. */
export interface PickStore {
  /** @returns null where there is none; throws where it is damaged */
  read(adapter: string): Promise<PickTable | null>;
  write(table: PickTable): Promise<void>;
  list(): Promise<PickTable[]>;
  clear(): Promise<void>;
}

/** A table from what JSON gave; null where it is none. */
export function asTable(value: unknown): PickTable | null {
  const { version, adapter, picks } = (value ?? {}) as Partial<Record<keyof PickTable, unknown>>;
  const record = (x: unknown): x is Record<string, unknown> => typeof x === 'object' && x !== null && !Array.isArray(x);
  if (version !== 1 || typeof adapter !== 'string' || !record(picks)) return null;
  const good = Object.values(picks).every(
    (p) =>
      record(p) &&
      record(p.knobs) &&
      Object.values(p.knobs).every((k) => typeof k === 'number' || typeof k === 'boolean') &&
      [p.own, p.best].every((ms) => typeof ms === 'number' && ms > 0),
  );
  return good ? (value as PickTable) : null;
}

/** Later tables go before earlier ones. */
export const picksOf = (...tables: readonly (PickTable | null)[]): Picks =>
  new Map(
    tables.flatMap((table) => Object.entries(table?.picks ?? {}).map(([key, { knobs }]) => [key, knobs] as const)),
  );

/** The table that ships for adapters of this kind. */
export const shippedTable = ({ kind }: AdapterSummary): PickTable | null =>
  SHIPPED.find(({ adapter }) => adapter === kind) ?? null;

/**
 * Gives a device the picks that ship for its kind and, before them, what `store` keeps of the adapter itself: for engines that
 * are made thereafter. A browser needs these lines, and `keepPick` for what `tune` measures:
 *
 *     const device = await openDevice(navigator.gpu);
 *     await loadPicks(device, new PickDatabase());
 *     using engine = new Engine(device);
 *
 * Browsers may leave an adapter's device and description blank. Then the key is vendor, architecture and sizes of subgroups,
 * and what was measured on one card is used on another of its family: slower at worst, never wrong.
 * @throws where the store's table is damaged; the device then has the picks that ship
 */
export async function loadPicks(device: Device, store: PickStore): Promise<void> {
  device.picks = picksOf(shippedTable(device.adapter));
  device.picks = picksOf(shippedTable(device.adapter), await store.read(device.adapter.id));
}

/** Adds a pick to what is kept of the adapter. The table is read again: another process may have added its own. */
export async function keepPick(
  device: Device,
  store: PickStore,
  shapeClass: string,
  pick: MeasuredPick,
): Promise<void> {
  const { id: adapter, kind } = device.adapter;
  const kept = (await store.read(adapter))?.picks;
  await store.write({ version: 1, adapter, kind, picks: { ...kept, [shapeClass]: pick } });
}
