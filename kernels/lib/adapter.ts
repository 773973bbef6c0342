// What settings may ask of an adapter: room for a workgroup, and products of subgroup matrices.
import type { AdapterTraits, MatrixShape } from '../kernel.ts';

/** Whether a workgroup may have so many threads and so many bytes of workgroup memory. */
export const workgroupFits = (
  { maxWorkgroupInvocations, maxWorkgroupStorageBytes }: AdapterTraits,
  threads: number,
  bytes: number,
): boolean => threads <= maxWorkgroupInvocations && bytes <= maxWorkgroupStorageBytes;

/** Features of WebGPU that products of f16 subgroup matrices need. */
export const MATRIX_FEATURES = ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'];

/** Products of subgroup matrices, that of the most multiplications first. */
export const largestFirst = (matrices: readonly MatrixShape[]): MatrixShape[] =>
  [...matrices].sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K);
