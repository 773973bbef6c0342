// The pages that Node serves or writes, bundled: the dashboard's and a report's, each one script and one style sheet.
import { mkdirSync, writeFileSync, copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleForBrowser, bundleStyles } from './bundle-browser.mjs';
import { root } from './cache.mjs';

/** By name: the module whose `begin` the page calls (package.json says that none acts by itself), and its sheets. */
const PAGES = {
  dashboard: ['mae/web/dashboard/page.ts', ['mae/web/dashboard/dashboard.css']],
  report: ['mae/web/report/page.ts', ['mae/web/report/report.css']],
};

/** @returns {Promise<{ script: string, style: string }>} */
export async function pageBundle(name) {
  const [module, sheets] = PAGES[name];
  const entry = `import { begin } from ${JSON.stringify(join(root, module))};\nbegin();\n`;
  const [{ bytes }, style] = await Promise.all([
    bundleForBrowser(entry, { minify: true }),
    bundleStyles(sheets, { minify: true }),
  ]);
  return { script: new TextDecoder().decode(bytes), style };
}

/** All of them into a folder, for the package. @returns how many files */
export async function writePages(folder) {
  mkdirSync(folder, { recursive: true });
  for (const name of Object.keys(PAGES)) {
    const { script, style } = await pageBundle(name);
    writeFileSync(join(folder, `${name}.js`), script);
    writeFileSync(join(folder, `${name}.css`), style);
  }
  copyFileSync(join(root, 'mae', 'web', 'icon.svg'), join(folder, 'icon.svg'));
  return 2 * Object.keys(PAGES).length + 1;
}
