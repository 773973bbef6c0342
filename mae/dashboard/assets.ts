// The dashboard's page: made by `npm run build` in a package, and in a clone from the sources when it is first asked for.
import { readFile } from 'node:fs/promises';
import { bundleOf } from '../bundle.ts';
import { fileOf, INSTALLED } from '../root.ts';

export interface Assets {
  readonly page: string;
  readonly script: string;
  readonly style: string;
  readonly icon: string;
}

const PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tesserae</title><link rel="icon" href="/icon.svg"><link rel="stylesheet" href="/dashboard.css">
<script type="module" src="/dashboard.js"></script></head>
<body><noscript><p style="padding:20px">The dashboard is made by scripts: allow them for this page. tesserae report RUN writes a page that needs none.</p></noscript></body></html>
`;

let made: Promise<Assets> | null = null;

export function dashboardAssets(): Promise<Assets> {
  made ??= Promise.all([
    bundleOf('dashboard'),
    readFile(fileOf(INSTALLED ? 'dist/lib/mae/web/icon.svg' : 'mae/web/icon.svg'), 'utf8'),
  ]).then(([bundle, icon]) => ({ page: PAGE, icon, ...bundle }));
  made.catch(() => void (made = null));
  return made;
}
