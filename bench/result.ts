// What kernels, infer, data and step leave as JSON: rows with a time and its spread, and the conditions under which they were taken.
import type { Device } from '../engine/device.ts';
import type { BenchReport, BenchRow } from '../mae/cli/benchreport.ts';
import { VERSION } from '../mae/version.ts';
import { adapterRow, machine } from './gpu/conditions.ts';

export const report = <R extends BenchRow>(
  what: string,
  device: Device,
  options: Readonly<Record<string, unknown>>,
  rows: readonly R[],
): BenchReport<R> => ({
  tool: `tesserae bench ${what}`,
  version: VERSION,
  date: new Date().toISOString(),
  adapter: device.adapter.id,
  conditions: { ...adapterRow(device), ...machine() },
  options,
  rows,
});
