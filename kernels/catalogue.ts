// The catalogue: every kernel of the house, as rooms.ts names them. Tests, benches and docs iterate it.
import type { AnyKernel } from './kernel.ts';
import * as rooms from './rooms.ts';

const isKernel = (value: unknown): value is AnyKernel =>
  typeof value === 'object' && value !== null && 'variants' in value && 'reference' in value;

/** All kernels, in alphabetical order of their exports' names. */
export const catalogue: readonly AnyKernel[] = (Object.values(rooms) as unknown[]).filter(isKernel);
