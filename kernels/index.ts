// The catalogue: every kernel of the house, one line a room. Tests, benches and docs iterate it.
import type { AnyKernel } from './kernel.ts';
import * as attention from './attention/attention.ts';
import * as gemm from './gemm/gemm.ts';
import * as layernorm from './layernorm/layernorm.ts';
import * as reduce from './reduce/reduce.ts';

const rooms: Record<string, Record<string, unknown>> = { attention, gemm, layernorm, reduce };

const isKernel = (value: unknown): value is AnyKernel =>
  typeof value === 'object' && value !== null && 'variants' in value && 'reference' in value;

export const catalogue: readonly AnyKernel[] = Object.values(rooms).flatMap((room) => Object.values(room).filter(isKernel));

export * from './kernel.ts';
export { packParams, resolve, type Program } from './restate.ts';
