// JSON from a stranger: UTF-8 only, no key twice, no deep nesting. JSON.parse alone would silently keep the last of two keys.
import { fail } from './errors.ts';

/**
 * The value of the JSON text in `bytes`. Objects in it hold only own keys (`__proto__` included, as an ordinary one).
 * Throws a TesseraeError that says what the text does wrong, to be read after its name: `has key "a" twice`.
 */
export function parseStrictJson(bytes: Uint8Array, maxDepth: number): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    fail('is not UTF-8 text');
  }
  checkKeys(text, maxDepth);
  return parse(text);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    fail('is not JSON');
  }
}

/** One pass over text that need not be JSON: keys are the strings before a colon. Depth is bounded before any parsing. */
function checkKeys(text: string, maxDepth: number): void {
  const open: (Set<string> | null)[] = []; // the keys seen so far of each enclosing object; null for an array
  let string = '';
  for (let i = 0; i < text.length; i++) {
    switch (text[i]) {
      case '"': {
        const start = i;
        for (i++; i < text.length && text[i] !== '"'; i++) if (text[i] === '\\') i++;
        string = text.slice(start, i + 1);
        break;
      }
      case '{':
      case '[':
        open.push(text[i] === '{' ? new Set() : null);
        if (open.length > maxDepth) fail(`is nested deeper than ${maxDepth} levels`);
        break;
      case '}':
      case ']':
        open.pop();
        break;
      case ':': {
        const key = parse(string) as string; // "a" and "\u0061" are the same key
        if (open.at(-1)?.has(key)) fail(`has key ${string.slice(0, 80)} twice`);
        open.at(-1)?.add(key);
        break;
      }
    }
  }
}
