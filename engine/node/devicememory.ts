// How much memory an adapter has, asked of the system: WebGPU does not tell.
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { AdapterSummary } from '../adapter.ts';

interface DeviceMemory {
  /** Bytes that buffers may take. */
  readonly bytes: number;
  /** What they are a part of, for the user. */
  readonly of: string;
}

/** Of the system's memory, for adapters that compute on the CPU or share it: the rest is for data, Node and others. */
const SHARED = 0.8;
/** Of the memory of a card of its own: drivers and screens take some. */
const OWN = 0.92;

/** The same from run to run, as it counts what is there and not what is free; null where it cannot be found out. */
export async function deviceMemory({ software, vendor, description }: AdapterSummary): Promise<DeviceMemory | null> {
  if (software || vendor === 'apple')
    return { bytes: SHARED * systemMemory(), of: `${100 * SHARED} % of the system's memory` };
  const found = vendor === 'nvidia' ? await ofNvidia(description) : vendor === 'amd' ? await ofAmd() : null;
  return found === null ? null : { bytes: OWN * found, of: `${100 * OWN} % of the card's memory` };
}

/** Of this process: the machine's, or what a container gives it. */
function systemMemory(): number {
  const { constrainedMemory } = process as { constrainedMemory?: () => number };
  // 0 or 2^64 - 1 where there is no limit.
  const given = constrainedMemory?.() || Number.POSITIVE_INFINITY;
  return Math.min(totalmem(), given);
}

/** The card of this name, else the smallest. */
async function ofNvidia(description: string): Promise<number | null> {
  const query = ['--query-gpu=memory.total,name', '--format=csv,noheader,nounits'];
  const asked = await promisify(execFile)('nvidia-smi', query, { timeout: 5000 }).catch(() => null);
  const cards = [...(asked?.stdout ?? '').matchAll(/^\s*(\d+)\s*,\s*(.*?)\s*$/gm)].map(([, mib, name]) => ({
    bytes: Number(mib) * 2 ** 20,
    name,
  }));
  const named = cards.filter(({ name }) => description.includes(name));
  const sizes = (named.length ? named : cards).map(({ bytes }) => bytes);
  return sizes.length ? Math.min(...sizes) : null;
}

/** The kernel's driver says it for every card; of several the largest is the one that computes. */
async function ofAmd(folder = '/sys/class/drm'): Promise<number | null> {
  const cards = (await readdir(folder).catch(() => [])).filter((name) => /^card\d+$/.test(name));
  const sizes = await Promise.all(
    cards.map((card) => readFile(join(folder, card, 'device', 'mem_info_vram_total'), 'utf8').catch(() => '')),
  );
  const known = sizes.map(Number).filter((n) => n > 0);
  return known.length ? Math.max(...known) : null;
}
