// Elements of the page by their ids, with their types.

/** @throws where the page has no such element: index.html and the code disagree */
export function find<K extends keyof HTMLElementTagNameMap>(
  root: ParentNode,
  tag: K,
  selector: string,
): HTMLElementTagNameMap[K] {
  const found = root.querySelector(selector);
  if (found?.localName !== tag) throw new Error(`index.html has no <${tag}> ${selector}`);
  return found as HTMLElementTagNameMap[K];
}

/** A new element with properties and children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
