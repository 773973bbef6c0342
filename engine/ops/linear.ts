// y = x w^T (+ b) (+ residual r): torch's Linear, weight (out, in).
import { EPILOGUES, NN, NT } from '../../kernels/gemm/gemm.ts';
import { fail, shapeText } from '../errors.ts';
import { defineOp } from '../op.ts';
import { numel, sameShape, type Tensor } from '../tensor.ts';
import { product } from './product.ts';
import { wantColumnSums, weightGradients } from './weight-gradients.ts';

interface Inputs extends Record<string, Tensor | null> {
  /** (…, in) */
  x: Tensor;
  /** (out, …) with in = the product of all but the first dimension, so that a patch convolution's weight fits. */
  w: Tensor;
  /** (out), or none */
  b: Tensor | null;
  /** (…, out), added to the result */
  r: Tensor | null;
}

interface Attributes {
  /** Where the trace's precision is f16, y is stored so: for what goes to products alone. Else y is f32. */
  half?: boolean;
}

/** y (…, out) = x w^T + b, with b and r added where they are given. */
export const linear = defineOp('linear', {
  forward(t, { x, w, b, r }: Inputs, { half = false }: Attributes) {
    const { rows, cols } = x.rows();
    const [out, ...rest] = w.shape;
    const k = rest.reduce((p, n) => p * n, 1);
    if (k !== cols)
      fail(`linear: the last dimension of x must match w: x is ${shapeText(x.shape)}, w is ${shapeText(w.shape)}`);
    const result = [...x.shape.slice(0, -1), out];
    if (r && !sameShape(r.shape, result))
      fail(`linear: r must be as the result, ${shapeText(result)}, got ${shapeText(r.shape)}`);
    if (b && numel(b.shape) !== out) fail(`linear: b must be (${out}), got ${shapeText(b.shape)}`);
    const size = { rows, out, k };
    const EPILOGUE = r ? EPILOGUES.biasResidual : b ? EPILOGUES.bias : EPILOGUES.none;
    // The kernel adds a residual to a bias only.
    const bias = b ?? (r && t.constant(new Float32Array(out), [out]));
    const dtype = half ? t.precision : 'f32';
    const wh = t.half(w);
    const { c } = product(t, { a: x, b: wh, m: rows, n: out, k, LAYOUT: NT, EPILOGUE, bias, r, dtype });
    if (b) wantColumnSums(t, c, rows, out);
    return { out: { y: c.reshape(...result) }, saved: { x, w, wh, size } };
  },
  backward(t, { y: dy }, { x, w, wh, size }, needs) {
    const { rows, out, k } = size;
    const { dw, db } = weightGradients(t, { dy, x, w, ...size }, needs);
    return {
      x: needs.x
        ? product(t, { a: dy, b: wh, m: rows, n: k, k: out, LAYOUT: NN, dtype: x.dtype }).c.reshape(...x.shape)
        : null,
      w: dw,
      b: db,
      r: needs.r ? dy : null,
    };
  },
});
