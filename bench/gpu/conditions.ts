// Under which conditions figures were taken: adapter, driver, clocks, versions, machine.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, cpus, platform, release, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import type { Device } from '../../engine/device.ts';
import type { Found, Row } from './report.ts';

/** The adapter as a row: what the supervising process, which opens no device, must know of it. */
export function adapterRow({ adapter, traits, gpu }: Device): Row {
  return {
    description: adapter.description,
    vendor: adapter.vendor,
    architecture: adapter.architecture,
    software: adapter.software,
    profile: traits.profile,
    subgroup: traits.subgroupMinSize === traits.subgroupMaxSize ? traits.subgroupMaxSize : 0,
    matrices: traits.matrices.map(({ M, N, K }) => `${M}x${N}x${K}`).join(' '),
    features: [...traits.features].sort().join(' '),
    maxStorageBufferBindingSize: gpu.limits.maxStorageBufferBindingSize,
    maxComputeWorkgroupStorageSize: gpu.limits.maxComputeWorkgroupStorageSize,
  };
}

export function foundIn(row: Row): Found {
  const matrices = String(row.matrices).split(' ').filter(Boolean);
  return {
    software: row.software === true,
    profile: row.profile as Found['profile'],
    subgroup: Number(row.subgroup),
    matrices: matrices.map((text) => {
      const [M, N, K] = text.split('x').map(Number);
      return { M, N, K };
    }),
  };
}

const QUERY = [
  'name',
  'driver_version',
  'memory.total',
  'memory.used',
  'clocks.sm',
  'clocks.mem',
  'clocks.max.sm',
  'clocks.max.mem',
  'power.draw',
  'power.limit',
  'temperature.gpu',
  'pstate',
];

/** What nvidia-smi says of the first card, or null without it. Only reads. */
export function nvidia(): Record<string, string> | null {
  try {
    const out = execFileSync('nvidia-smi', [`--query-gpu=${QUERY.join(',')}`, '--format=csv,noheader'], {
      encoding: 'utf8',
      timeout: 10_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const values = out
      .split('\n')[0]
      .split(',')
      .map((text) => text.trim());
    return Object.fromEntries(QUERY.map((key, i) => [key, values[i] ?? '']));
  } catch {
    return null;
  }
}

/** Versions and machine. */
export function machine(): Record<string, unknown> {
  return {
    node: process.version,
    webgpu: dawnVersion(),
    system: `${platform()} ${arch()} ${release()}`,
    cpu: `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    memory_gib: Math.round(totalmem() / 2 ** 30),
    environment: Object.fromEntries(
      Object.entries(process.env).filter(([key]) => /^(VK_|LP_|MESA_|CUDA_VISIBLE)/.test(key)),
    ),
  };
}

function dawnVersion(): string {
  try {
    const entry = createRequire(import.meta.url).resolve('webgpu');
    return JSON.parse(readFileSync(join(dirname(entry), 'package.json'), 'utf8')).version;
  } catch {
    return 'unknown';
  }
}
