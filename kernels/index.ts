// The catalogue: every kernel of the house, one line a room. Tests, benches and docs iterate it.
import type { AnyKernel } from './kernel.ts';
import * as adamw from './adamw/adamw.ts';
import * as argsort from './argsort/argsort.ts';
import * as attention from './attention/attention.ts';
import * as saliency from './attention/saliency.ts';
import * as augment from './augment/augment.ts';
import * as batchnorm from './batchnorm/batchnorm.ts';
import * as crossentropy from './crossentropy/crossentropy.ts';
import * as elementwise from './elementwise/elementwise.ts';
import * as gather from './gather/gather.ts';
import * as gemm from './gemm/gemm.ts';
import * as lars from './lars/lars.ts';
import * as layernorm from './layernorm/layernorm.ts';
import * as loss from './loss/loss.ts';
import * as lossscale from './lossscale/lossscale.ts';
import * as mix from './mix/mix.ts';
import * as patch from './patch/patch.ts';
import * as pool from './pool/pool.ts';
import * as randaugment from './randaugment/randaugment.ts';
import * as random from './random/uniform.ts';
import * as reduce from './reduce/reduce.ts';
import * as sgd from './sgd/sgd.ts';

const rooms: Record<string, Record<string, unknown>> = {
  adamw,
  argsort,
  attention: { ...attention, ...saliency },
  augment,
  batchnorm,
  crossentropy,
  elementwise,
  gather,
  gemm,
  lars,
  layernorm,
  loss,
  lossscale,
  mix,
  patch,
  pool,
  randaugment,
  random,
  reduce,
  sgd,
};

const isKernel = (value: unknown): value is AnyKernel =>
  typeof value === 'object' && value !== null && 'variants' in value && 'reference' in value;

export const catalogue: readonly AnyKernel[] = Object.values(rooms).flatMap((room) =>
  Object.values(room).filter(isKernel),
);

export * from './kernel.ts';
export { offers, type Picks, shapeClass } from './picks.ts';
export { packParams, resolve, type Program } from './restate.ts';
