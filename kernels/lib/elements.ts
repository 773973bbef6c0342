// One text for vec4 and for single elements: loads of four where sizes allow it, any size elsewhere, and on software adapters,
// where a vec4 load is four gathers.

/**
 * A text over vec4<f32> that counts in VECTOR elements (a knob, 4), with f32 in the place of vec4<f32> and VECTOR 1. The sum
 * `v.x + v.y + v.z + v.w` is then v.
 */
export function oneByOne<W extends { readonly text: string; readonly knobs: { VECTOR: number } }>(wgsl: W): W {
  const text = wgsl.text.replaceAll('vec4<f32>', 'f32').replaceAll('v.x + v.y + v.z + v.w', 'v');
  return { ...wgsl, text, knobs: { ...wgsl.knobs, VECTOR: 1 } };
}
