// erf, exact GELU and its derivative in f64, for references and host code.

/** erf(x) to f64 rounding: the Maclaurin-like series below 2.5, Lentz's continued fraction of erfc above. */
export function erf(x: number): number {
  const z = Math.abs(x);
  const value = z < 2.5 ? series(z) : 1 - erfcTail(z);
  return x < 0 ? -value : value;
}

/** erfc(x) = 1 - erf(x), with relative accuracy kept in the tail. */
export function erfc(x: number): number {
  if (x < 0.5) return 1 - erf(x);
  return erfcTail(x);
}

/** 2/sqrt(pi) exp(-z^2) sum of 2^n z^(2n+1) / (1·3·…·(2n+1)): all terms positive, nothing cancels. */
function series(z: number): number {
  let term = z;
  let sum = z;
  for (let n = 1; term > sum * 1e-17; n++) sum += term *= (2 * z * z) / (2 * n + 1);
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-z * z) * sum;
}

/** exp(-z^2)/sqrt(pi) / (z + (1/2)/(z + 1/(z + (3/2)/(z + …)))), evaluated from the far end. */
function erfcTail(z: number): number {
  let f = z;
  for (let n = Math.ceil(20 + 800 / (z * z)); n > 0; n--) f = z + n / 2 / f;
  return Math.exp(-z * z) / (Math.sqrt(Math.PI) * f);
}

/** gelu(x) = x Phi(x), Phi(x) = erfc(-x / sqrt 2) / 2 (Hendrycks & Gimpel 2016, the exact form). */
export const gelu = (x: number): number => (x * erfc(-x / Math.SQRT2)) / 2;

/** Derivative of gelu: Phi(x) + x phi(x). */
export const dgelu = (x: number): number =>
  erfc(-x / Math.SQRT2) / 2 + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);
