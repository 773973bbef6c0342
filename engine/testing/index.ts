// For tests of your own ops and kernels: `tesserae/engine/testing`.
export { random, type Random } from '../../kernels/random/random.ts';
export { type Given, given, normal, type OpCase } from './case.ts';
export { checkKernel } from './check-kernel.ts';
export { gradcheck } from './gradcheck.ts';
export { devicecheck } from './on-device.ts';
