// Global average pooling of patch tokens: what fine-tuning classifies instead of the cls token (MAE, appendix A.1).
import { type AdapterTraits, ceilDiv, defineKernel, fold, variant } from '../kernel.ts';
import { streamThreads } from '../lib/lanes.ts';
import backward from './pool.backward.wgsl';
import forward from './pool.forward.wgsl';
import * as ref from './pool.ref.ts';

const tune = (_: unknown, adapter: AdapterTraits) => streamThreads(adapter);
const cases = [
  { batch: 1, tokens: 2, dim: 1 },
  { batch: 3, tokens: 17, dim: 5 },
  { batch: 2, tokens: 65, dim: 67 },
  { batch: 5, tokens: 9, dim: 192 },
];

/** y (batch, dim): mean of x (batch, tokens, dim) over all tokens but the first; tokens >= 2. */
export const poolForward = defineKernel({
  name: 'pool.forward',
  variants: { simt: variant(forward, { grid: ({ batch, dim, WG }) => fold(ceilDiv(batch * dim, WG)), tune }) },
  shapes: ({ batch, tokens, dim }) => ({ x: [batch, tokens, dim], y: [batch, dim] }),
  flops: ({ batch, tokens, dim }) => batch * tokens * dim,
  reference: ref.forward,
  cases,
});

/** dx (batch, tokens, dim) from dy (batch, dim). */
export const poolBackward = defineKernel({
  name: 'pool.backward',
  variants: {
    simt: variant(backward, { grid: ({ batch, tokens, dim, WG }) => fold(ceilDiv(batch * tokens * dim, WG)), tune }),
  },
  shapes: ({ batch, tokens, dim }) => ({ dy: [batch, dim], dx: [batch, tokens, dim] }),
  flops: ({ batch, tokens, dim }) => batch * tokens * dim,
  reference: ref.backward,
  cases,
});
