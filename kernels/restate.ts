// From a kernel's text to the program for one problem: knob lines restated, marked loops unrolled, library appended.
import type { AdapterTraits, AnyKernel, Grid, KnobValues, Profile, Settings, Variant, Wgsl } from './kernel.ts';

export interface Program {
  readonly code: string;
  readonly knobs: KnobValues;
  readonly grid: Grid;
  readonly profile: Profile;
  readonly wgsl: Wgsl;
}

/** Chooses the variant (the asked profile, else simt) and tunes, restates and unrolls it for one problem. */
export function resolve(kernel: AnyKernel, problem: Settings, adapter: AdapterTraits): Program {
  const order: Profile[] = adapter.profile === 'simt' ? ['simt'] : [adapter.profile, 'simt'];
  for (const profile of order) {
    const v = kernel.variants[profile] as Variant | undefined;
    if (!v?.needs.every((f) => adapter.features.has(f))) continue;
    const asked: Settings = { ...v.wgsl.knobs, ...kernel.options, ...problem };
    const tuned = v.tune(asked, adapter);
    if (!tuned) continue;
    const all: Settings = { ...asked, ...tuned };
    const knobs = Object.fromEntries(Object.keys(v.wgsl.knobs).map((k) => [k, all[k]])) as KnobValues;
    const code = written([restate(v.wgsl, knobs), ...v.lib].join('\n'));
    return { code, knobs, grid: v.grid(all), profile, wgsl: v.wgsl };
  }
  throw new Error(`${kernel.name}: no variant runs on this adapter (profile ${adapter.profile})`);
}

/** Rewrites the lines marked `// knob` and nothing else. */
export function restate(wgsl: Wgsl, knobs: KnobValues): string {
  return wgsl.text.replace(
    /^(const (\w+)(?:\s*:\s*\w+)? = )([^;]+)(;.*\/\/ knob.*)$/gm,
    (line, head, name, old, tail) => {
      const value = knobs[name];
      if (value === undefined || typeof value === 'boolean')
        return value === undefined ? line : `${head}${value}${tail}`;
      const suffix = /[uif]$/.exec(old.trim())?.[0] ?? '';
      if (suffix === 'u' && (!Number.isInteger(value) || value < 0)) {
        throw new Error(`${name}: a knob of type u32 needs a whole number >= 0, got ${value}`);
      }
      return `${head}${value}${suffix}${tail}`;
    },
  );
}

/** Programs by the text before unrolling: the layers of a model share them. */
const programs = new Map<string, string>();
function written(text: string): string {
  let code = programs.get(text);
  if (code === undefined) programs.set(text, (code = unroll(text)));
  return code;
}

const LOOP = /^[ \t]*for \(var (\w+) = (\d+)u; \1 < (\w+); \1\+\+\) \{ \/\/ unroll[^\n]*\n/gm;

/** Writes out every loop marked `// unroll`: software adapters keep an array in registers only under literal indices. */
export function unroll(code: string): string {
  const constants = new Map<string, number>();
  for (const [, name, expression] of code.matchAll(/^const (\w+)(?:\s*:\s*\w+)? = ([^;]+);/gm)) {
    const value = product(expression, constants);
    if (value !== null) constants.set(name, value);
  }
  let text = code;
  LOOP.lastIndex = 0;
  for (let m = LOOP.exec(text); m; m = LOOP.exec(text)) {
    const [head, index, from, bound] = m;
    const to = product(bound, constants);
    if (to === null) throw new Error(`unroll: the bound ${bound} of the loop over ${index} is not a known constant`);
    const start = m.index + head.length;
    const end = closing(text, start);
    const body = text.slice(start, end);
    const use = new RegExp(`\\b${index}\\b`, 'g');
    let out = '';
    for (let i = Number(from); i < to; i++) out += `{\n${body.replace(use, `${i}u`)}}\n`;
    text = text.slice(0, m.index) + out + text.slice(text.indexOf('\n', end) + 1);
    // What comes before has no marked loop left; what was written out may.
    LOOP.lastIndex = m.index;
  }
  return text;
}

/** Where the brace that is open at `start` closes. */
function closing(text: string, start: number): number {
  let depth = 1;
  for (let i = start; i < text.length; i++) {
    if (text[i] === '{') depth++;
    else if (text[i] === '}' && --depth === 0) return i;
  }
  throw new Error('unroll: a marked loop has no closing brace');
}

/** Value of `A * B / C` over known constants and literals, or null. */
function product(expression: string, constants: Map<string, number>): number | null {
  let value: number | null = null;
  let operator = '*';
  for (const token of expression.trim().split(/\s*([*/])\s*/)) {
    if (token === '*' || token === '/') {
      operator = token;
      continue;
    }
    const n: number | undefined = /^\d+[ui]?$/.test(token) ? Number.parseInt(token, 10) : constants.get(token);
    if (n === undefined) return null;
    value = value === null ? n : operator === '*' ? value * n : Math.floor(value / n);
  }
  return value;
}

/** The bytes of a kernel's uniform Params for one problem. */
export function packParams(wgsl: Wgsl, problem: Settings): ArrayBuffer {
  const bytes = new ArrayBuffer(wgsl.paramsBytes);
  const view = new DataView(bytes);
  for (const [name, { type, offset }] of Object.entries(wgsl.params)) {
    const value = problem[name];
    if (typeof value !== 'number') throw new Error(`parameter ${name} is missing`);
    if (type !== 'f32' && !Number.isInteger(value)) throw new Error(`parameter ${name} must be whole, got ${value}`);
    if (type !== 'f32' && !Number.isInteger(value))
      throw new Error(`parameter ${name} must be a whole number, got ${value}`);
    if (type === 'f32') view.setFloat32(offset, value, true);
    else if (type === 'i32') view.setInt32(offset, value, true);
    else view.setUint32(offset, value, true);
  }
  return bytes;
}
