// One text for vec4 and for single elements: loads of four where sizes allow it, any size elsewhere, and on software adapters,
// where a vec4 load is four gathers.

const EACH = /vec4\((\w+)\(v\.x\), \1\(v\.y\), \1\(v\.z\), \1\(v\.w\)\)/g;

/**
 * A text over vec4<f32> or vec4<u32> that counts in VECTOR elements (a knob, 4), with f32 or u32 in their place and VECTOR 1. The sum
 * `v.x + v.y + v.z + v.w` is then v, and `vec4(f(v.x), f(v.y), f(v.z), f(v.w))` is f(v).
 */
export function oneByOne<W extends { readonly text: string; readonly knobs: { VECTOR: number } }>(wgsl: W): W {
  const text = wgsl.text
    .replaceAll('vec4<f32>', 'f32')
    .replaceAll('vec4<u32>', 'u32')
    .replaceAll('v.x + v.y + v.z + v.w', 'v')
    .replace(EACH, '$1(v)');
  return { ...wgsl, text, knobs: { ...wgsl.knobs, VECTOR: 1 } };
}
