// Bindings, parameters and knobs of a kernel's text, read when the program runs: for kernels that no build step reflects.
import { fail } from './errors.ts';
import type { BindingTypes, KnobValues, ParamTypes, Scalar, Wgsl } from './kernel.ts';

const KNOB = /^const (\w+)(?:\s*:\s*\w+)? = ([^;]+);.*\/\/ knob/gm;
const BINDING = /@group\((\d+)\)\s*@binding\((\d+)\)\s*var<\s*(\w+)\s*(?:,\s*(\w+)\s*)?>\s*(\w+)\s*:\s*([^;]+);/g;
const SCALAR = /^(?:vec[234]<)?(f32|f16|u32|i32)>?$/;

/**
 * The text of a kernel as `defineKernel` takes it, in the form that kernels of the house have: group 0; the uniform at binding 0,
 * a struct of u32, i32 and f32; storage bindings that are arrays of scalars or vectors of them; an entry point `main`. Its types
 * are what TypeScript holds calls to: `wgsl<{ x: ['read', 'f32']; y: ['read_write', 'f32'] }, { n: 'u32' }>(text)`.
 * @throws where the text declares anything else
 */
export function wgsl<B extends BindingTypes, P extends ParamTypes, K extends KnobValues = Record<never, never>>(
  text: string,
): Wgsl<B, P, K> {
  const plain = text.replace(/\/\/.*$/gm, '');
  if (!/@compute[^{]*\bfn main\s*\(/.test(plain)) fail('wgsl: there is no @compute entry point called main');
  const aliases = new Map([...plain.matchAll(/^alias (\w+) = ([^;]+);/gm)].map(([, name, of]) => [name, of.trim()]));
  const bindings: Record<string, Wgsl['bindings'][string]> = {};
  let params: Wgsl['params'] = {};
  for (const [, group, at, space, mode = 'read', name, type] of plain.matchAll(BINDING)) {
    const binding = Number(at);
    if (group !== '0') fail(`wgsl: ${name} must be in group 0, it is in ${group}`);
    if (space === 'uniform') {
      if (binding !== 0) fail(`wgsl: the uniform ${name} must be @binding(0), it is @binding(${binding})`);
      params = membersOf(plain, type.trim());
      continue;
    }
    const access = mode === 'read' || mode === 'read_write' ? mode : null;
    if (space !== 'storage' || !access) fail(`wgsl: ${name} must be storage, read or read_write`);
    bindings[name] = { binding, access, type: elementOf(name, type, aliases) };
  }
  const knobs = Object.fromEntries([...text.matchAll(KNOB)].map(([, name, value]) => [name, knobValue(name, value)]));
  const paramsBytes = Math.ceil(Object.keys(params).length / 4) * 16;
  return { text, bindings, params, paramsBytes, knobs } as unknown as Wgsl<B, P, K>;
}

function elementOf(name: string, type: string, aliases: ReadonlyMap<string, string>): Scalar {
  const element = /^array<(.+)>$/.exec(type.replace(/\s/g, ''))?.[1] ?? '';
  const scalar = SCALAR.exec(aliases.get(element) ?? element)?.[1];
  if (!scalar) fail(`wgsl: ${name} must be an array of f32, f16, u32, i32 or vectors of them, it is ${type}`);
  return scalar as Scalar;
}

/** Members of 4 bytes follow one another without gaps. */
function membersOf(text: string, struct: string): Wgsl['params'] {
  const body = new RegExp(`\\bstruct ${struct} \\{([^}]*)\\}`).exec(text)?.[1];
  if (body === undefined) fail(`wgsl: the uniform's struct ${struct} is not declared`);
  const members = body.split(',').filter((member) => member.trim());
  return Object.fromEntries(
    members.map((member, i) => {
      const [name, type] = member.split(':').map((part) => part.trim());
      if (!/^(f32|u32|i32)$/.test(type)) fail(`wgsl: ${struct}.${name} must be f32, u32 or i32, it is ${type}`);
      return [name, { type: type as Scalar, offset: 4 * i }];
    }),
  );
}

function knobValue(name: string, text: string): number | boolean {
  const value = text.trim();
  if (value === 'true' || value === 'false') return value === 'true';
  const number = Number(value.replace(/[uif]$/, ''));
  if (Number.isNaN(number)) fail(`wgsl: knob ${name} must be a number or a boolean, it is ${value}`);
  return number;
}
