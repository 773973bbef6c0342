// The kernels' public surface: each by name, all of them as a list, and what makes a program of one.
export { catalogue } from './catalogue.ts';
export { TesseraeError } from './errors.ts';
export * from './kernel.ts';
export { offers, type Picks, shapeClass } from './picks.ts';
export { random, type Random } from './random/random.ts';
export { wgsl } from './reflect.ts';
export { packParams, resolve, type Program } from './restate.ts';
export * from './rooms.ts';
