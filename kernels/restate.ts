// From a kernel's text to the program for one problem: knob lines restated, marked loops unrolled, library appended.
import { fail } from './errors.ts';
import {
  type AdapterTraits,
  type AnyKernel,
  checkProblem,
  type Grid,
  type KnobValues,
  type Profile,
  type Settings,
  type Variant,
  type Wgsl,
} from './kernel.ts';
import { offered, shapeClass } from './picks.ts';

/** What runs for one problem on one adapter: text, workgroups, settings. */
export interface Program {
  readonly code: string;
  readonly knobs: KnobValues;
  readonly grid: Grid;
  readonly profile: Profile;
  readonly variant: Variant;
  readonly wgsl: Wgsl;
  /** Under which its settings can be picked. */
  readonly shapeClass: string;
  /** Its settings are a pick, and no other than the variant itself would choose. */
  readonly picked: boolean;
}

/** Chooses the variant (the asked profile's, else simt's) and tunes, restates and unrolls it for one problem. */
export function resolve(kernel: AnyKernel, problem: Settings, adapter: AdapterTraits): Program {
  checkProblem(kernel, problem);
  const order: Profile[] = adapter.profile === 'simt' ? ['simt'] : [adapter.profile, 'simt'];
  for (const profile of order) {
    let place = -1;
    for (let v = kernel.variants[profile] as Variant | null | undefined; v; v = v.otherwise) {
      place++;
      if (!v.needs.every((f) => adapter.features.has(f))) continue;
      const asked: Settings = { ...v.wgsl.knobs, ...kernel.options, ...problem };
      const halves = new Set(Object.values(kernel.half).filter((option) => option && asked[option]) as string[]);
      const text = stored(v.wgsl.text, halves, adapter.features.has('shader-f16'), v.eights);
      const tuned = text === null ? null : v.tune(asked, adapter);
      if (text === null || !tuned) continue;
      const key = shapeClass(kernel, profile, place, asked);
      const measured = adapter.picks?.get(key);
      const pick = measured && offered(measured, v, asked, adapter);
      const knobsOf = (settings: Settings): KnobValues =>
        Object.fromEntries(Object.keys(v.wgsl.knobs).map((k) => [k, settings[k]])) as KnobValues;
      const all: Settings = { ...asked, ...(pick ?? tuned) };
      const knobs = knobsOf(all);
      const code = written([restate(text, knobs), ...v.lib].join('\n'));
      const picked = pick !== undefined && JSON.stringify(knobs) !== JSON.stringify(knobsOf({ ...asked, ...tuned }));
      const grid = v.grid(all);
      if (!grid.every((groups) => Number.isInteger(groups) && groups > 0))
        fail(`${kernel.name}: nothing to compute at ${JSON.stringify(problem)}: sizes must be above 0`);
      return { code, knobs, grid, profile, variant: v, wgsl: v.wgsl, shapeClass: key, picked };
    }
  }
  fail(`${kernel.name}: no variant runs on this adapter (profile ${adapter.profile}, ${JSON.stringify(problem)})`);
}

/** Rewrites the lines marked `// knob` and nothing else. */
function restate(text: string, knobs: KnobValues): string {
  return text.replace(/^(const (\w+)(?:\s*:\s*\w+)? = )([^;]+)(;.*\/\/ knob.*)$/gm, (line, head, name, old, tail) => {
    const value = knobs[name];
    if (value === undefined || typeof value === 'boolean') return value === undefined ? line : `${head}${value}${tail}`;
    const suffix = /[uif]$/.exec(old.trim())?.[0] ?? '';
    if (suffix === 'u' && (!Number.isInteger(value) || value < 0)) {
      fail(`${name}: a knob of type u32 needs a whole number >= 0, got ${value}`);
    }
    return `${head}${value}${suffix}${tail}`;
  });
}

const STORED = /^(.*?)\s*\/\/ stored: (\w+).*$/gm;

/**
 * Rewrites the lines marked `// stored: OPTION` for bindings that are f16: as the shader's f16 type, or, where there is
 * none, as pairs packed into u32 (a text that writes single elements cannot do that). Null where this text cannot.
 *
 *     alias Quad = vec4<f32>; // stored: HALF                                        vec4<f16>   vec2<u32>
 *     fn wide(q: Quad) -> vec4<f32> { return vec4<f32>(q); } // stored: HALF         as it is    unpacked
 *     fn narrow(v: vec4<f32>) -> Quad { return Quad(v); } // stored: HALF            as it is    packed
 *     the same in a variant that reads eights           vec4<u32>     not possible
 *     alias One = f32; // stored: HALF                                               f16         u32, to read only
 *     fn at(i: u32) -> f32 { return f32(x[i]); } // stored: HALF                     as it is    one half of x[i / 2]
 */
function stored(
  text: string,
  halves: ReadonlySet<string>,
  native: boolean,
  eights: readonly string[] = [],
): string | null {
  if (halves.size === 0) return text;
  const found = new Set<string>();
  let possible = true;
  const code = text.replace(STORED, (line, statement: string, option: string) => {
    if (!halves.has(option)) return line;
    found.add(option);
    if (eights.includes(option)) {
      possible &&= native;
      return statement.replace(/= vec4<f32>;$/, '= vec4<u32>;');
    }
    if (native)
      return statement.replace(/= (vec4<f32>|f32);$/, (_, type) => (type === 'f32' ? '= f16;' : '= vec4<f16>;'));
    const packed = pack(statement);
    const reads = new RegExp(`^fn \\w+\\(i: u32\\).*// stored: ${option}`, 'm').test(text);
    if (packed === null || (packed.endsWith('= u32;') && !reads)) possible = false;
    return packed ?? line;
  });
  if (!possible || [...halves].some((option) => !found.has(option))) return null;
  return native ? `enable f16;\n${code}` : code;
}

/** A marked line over u32 that hold two f16 each. */
function pack(line: string): string | null {
  const head = /^.*?\{ return /.exec(line)?.[0];
  if (/= vec4<f32>;$/.test(line)) return line.replace(/vec4<f32>;$/, 'vec2<u32>;');
  if (/= f32;$/.test(line)) return line.replace(/f32;$/, 'u32;');
  if (/return vec4<f32>\(q\); \}$/.test(line)) return `${head}vec4(unpack2x16float(q.x), unpack2x16float(q.y)); }`;
  if (/return \w+\(v\); \}$/.test(line)) return `${head}vec2(pack2x16float(v.xy), pack2x16float(v.zw)); }`;
  const element = /return f32\((\w+)\[i\]\); \}$/.exec(line)?.[1];
  return element ? `${head}unpack2x16float(${element}[i / 2u])[i % 2u]; }` : null;
}

/** Programs by the text before unrolling: the layers of a model share them. */
const programs = new Map<string, string>();
function written(text: string): string {
  let code = programs.get(text);
  if (code === undefined) programs.set(text, (code = registers(unroll(text))));
  return code;
}

const LOOP = /^[ \t]*for \(var (\w+) = (\d+)u; \1 < (\w+); \1\+\+\) \{ \/\/ unroll[^\n]*\n/gm;

/** Writes out every loop marked `// unroll`: software adapters keep an array in registers only under literal indices. */
function unroll(code: string): string {
  const constants = constantsOf(code);
  let text = code;
  LOOP.lastIndex = 0;
  for (let m = LOOP.exec(text); m; m = LOOP.exec(text)) {
    const [head, index, from, bound] = m;
    const to = evaluated(bound, constants);
    if (to === null) fail(`unroll: the bound ${bound} of the loop over ${index} is not a known constant`);
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

const ARRAY = /^([ \t]*)var (\w+): array<(.+), (\w+)>; \/\/ registers[^\n]*$/gm;

/**
 * Makes a variable of every element of the arrays marked `// registers`, whose indices are constants once loops are written
 * out, and writes the zero it begins with: a subgroup matrix declared in a loop is not zeroed again by Dawn 0.6.2.
 */
function registers(code: string): string {
  const constants = constantsOf(code);
  let text = code;
  for (const [line, indent, name, type, bound] of code.matchAll(ARRAY)) {
    const count = evaluated(bound, constants);
    if (count === null) fail(`registers: the size ${bound} of ${name} is not a known constant`);
    const all = Array.from({ length: count }, (_, i) => `${indent}var ${name}_${i} = ${type}();`).join('\n');
    text = text.replace(line, all).replace(new RegExp(`\\b${name}\\[([^\\]]+)\\]`, 'g'), (_, index: string) => {
      const at = evaluated(index, constants);
      if (at === null || at >= count) fail(`registers: ${name}[${index}] is no element of ${count}`);
      return `${name}_${at}`;
    });
  }
  return text;
}

/** Values of `const NAME = …;` lines that are arithmetic on others. */
function constantsOf(code: string): Map<string, number> {
  const constants = new Map<string, number>();
  for (const [, name, expression] of code.matchAll(/^const (\w+)(?:\s*:\s*\w+)? = ([^;]+);/gm)) {
    const value = evaluated(expression, constants);
    if (value !== null) constants.set(name, value);
  }
  return constants;
}

/** Where the brace that is open at `start` closes. */
function closing(text: string, start: number): number {
  let depth = 1;
  for (let i = start; i < text.length; i++) {
    if (text[i] === '{') depth++;
    else if (text[i] === '}' && --depth === 0) return i;
  }
  fail('unroll: a marked loop has no closing brace');
}

/** Value of an expression of whole numbers in `+ - * / %` and parentheses, over known constants and literals, or null. */
function evaluated(expression: string, constants: ReadonlyMap<string, number>): number | null {
  const tokens = expression.match(/\w+|[^\s\w]/g) ?? [];
  let at = 0;
  const operand = (): number => {
    const token = tokens[at++] ?? '';
    if (token === '(') {
      const inner = sum();
      return tokens[at++] === ')' ? inner : Number.NaN;
    }
    return /^\d+[ui]?$/.test(token) ? Number.parseInt(token, 10) : (constants.get(token) ?? Number.NaN);
  };
  const chain = (next: () => number, operators: string): number => {
    let value = next();
    while (tokens[at] && operators.includes(tokens[at])) value = OPERATORS[tokens[at++]](value, next());
    return value;
  };
  const term = (): number => chain(operand, '*/%');
  const sum = (): number => chain(term, '+-');
  const value = sum();
  return at === tokens.length && Number.isInteger(value) ? value : null;
}

const OPERATORS: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => Math.floor(a / b),
  '%': (a, b) => a % b,
};

/** The bytes of a kernel's uniform Params for one problem. */
export function packParams(wgsl: Wgsl, problem: Settings): ArrayBuffer {
  const bytes = new ArrayBuffer(wgsl.paramsBytes);
  const view = new DataView(bytes);
  for (const [name, { type, offset }] of Object.entries(wgsl.params)) {
    const value = problem[name];
    if (typeof value !== 'number') fail(`packParams: parameter ${name} is missing`);
    if (type === 'f32') view.setFloat32(offset, value, true);
    else if (type === 'i32') view.setInt32(offset, value, true);
    else view.setUint32(offset, value, true);
  }
  return bytes;
}
