// y = gelu(x w1^T + b1) w2^T + b2 (+ r): a transformer's MLP. The first product applies the GELU and keeps its slope in the
// place of its input, so that the second one's gradient only multiplies.
import { EPILOGUES, NN, NT } from '../../kernels/gemm/gemm.ts';
import { fail, shapeText } from '../errors.ts';
import { defineOp } from '../op.ts';
import { sameShape, type Tensor } from '../tensor.ts';
import { product } from './product.ts';
import { wantColumnSums, weightGradients } from './weight-gradients.ts';

interface Inputs extends Record<string, Tensor | null> {
  x: Tensor; // (…, dim)
  w1: Tensor; // (hidden, dim)
  b1: Tensor; // (hidden)
  w2: Tensor; // (out, hidden)
  b2: Tensor; // (out)
  r: Tensor | null; // (…, out), added to the result
}

/** y (…, out) = gelu(x w1^T + b1) w2^T + b2, with r added where it is given; GELU by erf, as torch.nn.GELU(). */
export const mlp = defineOp('mlp', {
  forward(t, { x, w1, b1, w2, b2, r }: Inputs, _: Record<never, never>) {
    const { rows, cols } = x.rows();
    const [hidden, k] = w1.shape;
    const out = w2.shape[0];
    if (k !== cols || w2.shape[1] !== hidden) {
      fail(
        `mlp: x is ${shapeText(x.shape)}, w1 must be (hidden, ${cols}) and w2 (out, hidden), got ${shapeText(w1.shape)} and ${shapeText(w2.shape)}`,
      );
    }
    const result = [...x.shape.slice(0, -1), out];
    if (r && !sameShape(r.shape, result))
      fail(`mlp: r must be as the result, ${shapeText(result)}, got ${shapeText(r.shape)}`);
    const gelu = { EPILOGUE: EPILOGUES.biasGelu, bias: b1, dtype: t.precision };
    const [h1, h2] = [t.half(w1), t.half(w2)];
    const first = product(t, { a: x, b: h1, m: rows, n: hidden, k, LAYOUT: NT, ...gelu });
    const EPILOGUE = r ? EPILOGUES.biasResidual : EPILOGUES.bias;
    const { c } = product(t, { a: first.c, b: h2, m: rows, n: out, k: hidden, LAYOUT: NT, EPILOGUE, bias: b2, r });
    wantColumnSums(t, c, rows, out);
    const saved = { x, w1, w2, h1, h2, slope: first.u, g: first.c, rows, cols, hidden, out };
    return { out: { y: c.reshape(...result) }, saved };
  },
  backward(t, { y: dy }, { x, w1, w2, h1, h2, slope, g, rows, cols, hidden, out }, needs) {
    const second = weightGradients(t, { dy, x: g, w: w2, rows, out, k: hidden }, { w: needs.w2, b: needs.b2 });
    const geluBackward = { EPILOGUE: EPILOGUES.times, r: slope, dtype: slope.dtype };
    const du = product(t, { a: dy, b: h2, m: rows, n: hidden, k: out, LAYOUT: NN, ...geluBackward }).c;
    const first = weightGradients(t, { dy: du, x, w: w1, rows, out: hidden, k: cols }, { w: needs.w1, b: needs.b1 });
    return {
      x: needs.x
        ? product(t, { a: du, b: h1, m: rows, n: cols, k: hidden, LAYOUT: NN, dtype: x.dtype }).c.reshape(...x.shape)
        : null,
      w1: first.dw,
      b1: first.db,
      w2: second.dw,
      b2: second.db,
      r: needs.r ? dy : null,
    };
  },
});
