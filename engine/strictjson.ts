// JSON from a stranger: UTF-8 only, no key twice (JSON.parse alone silently keeps the last), no deep nesting.
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

/** One pass over text that need not be JSON: keys are the strings before a colon. Depth is bounded before parsing. */
function checkKeys(text: string, maxDepth: number): void {
  const open: (Set<string> | null)[] = []; // the keys seen so far of each enclosing object; null for an array
  let start = 0; // of the last string, its quotes included
  let end = 0;
  let escaped = false;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x22: // "
        start = i;
        escaped = false;
        for (i++; i < text.length && text.charCodeAt(i) !== 0x22; i++) {
          if (text.charCodeAt(i) !== 0x5c) continue;
          escaped = true;
          i++;
        }
        end = i + 1;
        break;
      case 0x5b: // [
      case 0x7b: // {
        open.push(text[i] === '{' ? new Set() : null);
        if (open.length > maxDepth) fail(`is nested deeper than ${maxDepth} levels`);
        break;
      case 0x5d: // ]
      case 0x7d: // }
        open.pop();
        break;
      case 0x3a: {
        // A colon. "a" and "\u0061" are the same key.
        const key = escaped ? String(parse(text.slice(start, end))) : text.slice(start + 1, end - 1);
        const keys = open.at(-1);
        if (keys?.has(key)) fail(`has key ${JSON.stringify(key.slice(0, 80))} twice`);
        keys?.add(key);
        break;
      }
    }
  }
}
