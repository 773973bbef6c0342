// Markup as plain values: written into a file as text, or made into elements of a living page (dom.ts). Whatever stands in it is
// text, never markup.

export interface Markup {
  readonly tag: string;
  /** null leaves an attribute out, '' is a bare one. */
  readonly attributes: Readonly<Record<string, string | null>>;
  readonly children: readonly Child[];
}
export type Child = Markup | string;

/** `h('p', { class: 'note' }, 'text', h('b', {}, 'bold'))` */
export const h = (tag: string, attributes: Markup['attributes'], ...children: readonly Child[]): Markup => ({
  tag,
  attributes,
  children,
});

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
/** Elements that have no end. */
const VOID = new Set(['img', 'input', 'br']);

export const escaped = (text: string): string => text.replace(/[&<>"']/g, (c) => ESCAPES[c]);

export function htmlOf(child: Child): string {
  if (typeof child === 'string') return escaped(child);
  const { tag, attributes, children } = child;
  const given = Object.entries(attributes).flatMap(([name, value]) =>
    value === null ? [] : [value === '' ? ` ${name}` : ` ${name}="${escaped(value)}"`],
  );
  const head = `<${tag}${given.join('')}>`;
  return VOID.has(tag) ? head : `${head}${children.map(htmlOf).join('')}</${tag}>`;
}
