// Pages in a headless Chromium, for tests of what must run in browsers.
//
//     import { chromium, openPage } from './support/chromium.ts';
//     import type * as Sums from './browser/sums.ts';                      // a file that exports functions for the page
//
//     const inBrowser = chromium ? test : test.skip;
//     inBrowser('a page adds', async () => {
//       await using page = await openPage<typeof Sums>('test/browser/sums.ts');
//       assert.is(await page.call('add', 1, 2), 3);                          // typed; arguments and results are JSON
//     });
//
// The entry is bundled for browsers (.wgsl included; what imports a module of Node fails) and served from http://127.0.0.1,
// where pages have WebGPU. Anything that goes wrong in the page (an uncaught error, console.error, a crash) fails the call
// during which it happens, else close(). Chromium is the user's own or Debian's, unpacked on first use; where there is none,
// `chromium` is null and the reason is on stderr. The adapter is Chromium's SwiftShader: subgroups of 4, no f16.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium as driver, type Page } from 'playwright-core';

const tool = (name: string) => import(new URL(`../../tools/${name}.mjs`, import.meta.url).href);
const { bundleForBrowser } = await tool('bundle-browser');
const { ensureChromium } = await tool('chromium');
const { pristine } = await tool('environment');

interface Chromium {
  readonly path: string;
  /** As it says itself: `Chromium 150.0.7871.100`. */
  readonly version: string;
}

/** null where none can be had, or TESSERAE_CHROMIUM is `none`: tests in a browser are then skipped. */
export const chromium: Chromium | null = await ensureChromium().catch((error: Error) => {
  if (error.constructor.name !== 'Problem') throw error;
  process.stderr.write(`tests in a browser are skipped: ${error.message}\n`);
  return null;
});

/** Flags that every machine needs. */
const BASE = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const COMPUTE = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];
/** Compositor and WebGPU on the same software Vulkan: without it, touching a canvas ends WebGPU, and screenshots are white. */
const CANVAS = [
  '--enable-unsafe-webgpu',
  '--enable-features=Vulkan',
  '--use-vulkan=swiftshader',
  '--use-angle=swiftshader',
];

interface SiteOptions {
  /** The page shows something on a canvas by WebGPU, or a picture is taken of it; else it only computes. */
  readonly canvas?: boolean;
  /** Of the window; 960 x 720 unless said. */
  readonly size?: { readonly width: number; readonly height: number };
  /** What the system is said to be; light unless said. */
  readonly scheme?: 'light' | 'dark';
  /** Further flags of Chromium. */
  readonly args?: readonly string[];
  /** Errors on its console that are no failure. */
  readonly expected?: RegExp;
  /** Sees the page before it loads anything. */
  readonly begin?: (page: Page) => Promise<unknown>;
}

interface PageOptions extends SiteOptions {
  /** The entry minified, as pages get it. */
  readonly minify?: boolean;
  /** What the body holds. */
  readonly html?: string;
  /** Served beside the page by path, as `/weights.safetensors`. */
  readonly files?: Readonly<Record<string, Uint8Array>>;
}

type Functions<M> = { [K in keyof M]: M[K] extends (...args: never[]) => unknown ? M[K] : never };

export class BrowserPage<M> implements AsyncDisposable {
  /** Playwright's own page: to click, to type, to take pictures. */
  readonly page: Page;
  readonly address: string;
  readonly #browser: Browser;
  readonly #errors: Error[] = [];
  readonly #close: () => void;
  readonly #hasEntry: boolean;

  constructor(
    browser: Browser,
    page: Page,
    address: string,
    { close, hasEntry, expected }: { close: () => void; hasEntry: boolean; expected?: RegExp },
  ) {
    this.#hasEntry = hasEntry;
    this.page = page;
    this.address = address;
    this.#browser = browser;
    this.#close = close;
    page.on('pageerror', (error) => this.#errors.push(error));
    page.on('crash', () => this.#errors.push(new Error('the page crashed')));
    page.on('console', (message) => {
      if (message.type() === 'error' && !expected?.test(message.text())) this.#errors.push(new Error(message.text()));
    });
  }

  /** Calls a function that the entry exports, in the page. */
  async call<K extends keyof M & string>(
    name: K,
    ...args: Parameters<Functions<M>[K]>
  ): Promise<Awaited<ReturnType<Functions<M>[K]>>> {
    const called = this.page.evaluate(
      async ([name, args]) => {
        type Entry = Record<string, (...args: unknown[]) => unknown>;
        return (globalThis as unknown as { entry: Entry }).entry[name](...args);
      },
      [name, args] as const,
    );
    const result = await called.catch((error: Error) => {
      this.#errors.unshift(error);
    });
    this.check();
    return result as never;
  }

  /** Throws what went wrong in the page so far. */
  check(): void {
    const errors = this.#errors.splice(0);
    if (errors.length) throw new Error(errors.map(({ message }) => message).join('\n'), { cause: errors[0] });
  }

  /** Loads the page anew; what it keeps (IndexedDB) stays. */
  async load(): Promise<void> {
    await this.page.goto(this.address);
    // In a string: a compiler that makes import() into something else would make it useless in the page.
    if (this.#hasEntry)
      await this.page.evaluate(`import('/entry.js').then((entry) => void (globalThis.entry = entry))`);
    this.check();
  }

  async close(): Promise<void> {
    await this.#browser.close();
    this.#close();
    this.check();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

const HTML = (body: string) => `<!doctype html><meta charset="utf-8"><title>Tesserae</title><body>${body}`;

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html',
  js: 'text/javascript',
  css: 'text/css',
  svg: 'image/svg+xml',
  png: 'image/png',
};

/**
 * Opens a page of a browser of its own (about a second) with a file's exports in it.
 * @param entry a path from the clone's root, of TypeScript that is bundled for browsers
 */
export async function openPage<M>(entry: string, options: PageOptions = {}): Promise<BrowserPage<M>> {
  const path = fileURLToPath(new URL(`../../${entry}`, import.meta.url));
  const { bytes } = await bundleForBrowser(`export * from ${JSON.stringify(path)};`, options);
  const files = { '/index.html': new TextEncoder().encode(HTML(options.html ?? '')), '/entry.js': bytes };
  return openSite({ ...files, ...options.files }, options);
}

/** Opens `/index.html` of these files, by their paths, in a browser of its own. */
export async function openSite<M>(
  files: Readonly<Record<string, Uint8Array>>,
  options: SiteOptions = {},
): Promise<BrowserPage<M>> {
  const served = new Map<string, Uint8Array>([['/favicon.ico', new Uint8Array()], ...Object.entries(files)]);
  const server = createServer(({ url = '/' }, response) => {
    const path = decodeURIComponent(url.split('?')[0]);
    const name = path === '/' ? '/index.html' : path;
    const found = served.get(name);
    const type = TYPES[name.split('.').at(-1)!] ?? 'application/octet-stream';
    response.writeHead(found === undefined ? 404 : 200, { 'content-type': type }).end(found ?? '');
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  server.unref();
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return browse<M>(address, options, close, served.has('/entry.js'));
}

/** Opens what another server serves, or a file, in a browser of its own. */
export const openAddress = (address: string, options: SiteOptions = {}): Promise<BrowserPage<unknown>> =>
  browse(address, options, () => {}, false);

async function browse<M>(
  address: string,
  options: SiteOptions,
  close: () => void,
  hasEntry: boolean,
): Promise<BrowserPage<M>> {
  try {
    if (!chromium) throw new Error('there is no Chromium: ask `chromium` first');
    // Chromium finds its own driver: the one that this process was launched with is Node's.
    const { VK_ICD_FILENAMES: _, VK_DRIVER_FILES: __, ...env } = pristine();
    const args = [...BASE, ...(options.canvas ? CANVAS : COMPUTE), ...(options.args ?? [])];
    const browser = await driver.launch({ executablePath: chromium.path, headless: true, args, env, timeout: 60_000 });
    try {
      const page = await browser.newPage({
        viewport: options.size ?? { width: 960, height: 720 },
        colorScheme: options.scheme ?? 'light',
      });
      const opened = new BrowserPage<M>(browser, page, address, { close, hasEntry, expected: options.expected });
      await options.begin?.(page);
      await opened.load();
      return opened;
    } catch (error) {
      await browser.close();
      throw error;
    }
  } catch (error) {
    close();
    throw error;
  }
}
