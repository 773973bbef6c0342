// The style sheets of the house for a page of a test.
const { bundleStyles } = await import(new URL('../../tools/bundle-browser.mjs', import.meta.url).href);

/** @param more further sheets, from the clone's root */
export const styleTag = async (...more: string[]): Promise<string> =>
  `<style>${await bundleStyles(['mae/web/theme.css', 'mae/web/parts/parts.css', ...more])}</style>`;
