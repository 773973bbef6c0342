// The page: its tabs, its theme, and what is said where there is no WebGPU.
import { type Device, openDevice } from '../../engine/index.ts';
import { find, make } from './dom.ts';
import { adviceFor } from './missing.ts';
import { TABS, type Tab } from './tabs.ts';
import { toggleTheme } from './theme.ts';

/** A notice instead of a tab, or of all of them. */
function notice(title: string, lines: readonly string[]): HTMLElement {
  const paragraphs = lines.map((line) => make('p', {}, line));
  const box = make('div', { className: 'notice card' }, make('h2', {}, title), ...paragraphs);
  box.setAttribute('role', 'alert');
  return box;
}

const section = ({ id }: Tab): HTMLElement => find(document, 'section', `#${id}`);
const current = (): Tab => TABS.find(({ id }) => `#${id}` === location.hash) ?? TABS[0];

/** Shows the tab that the address names, and no other. */
function turn(): Tab {
  const tab = current();
  for (const other of TABS) {
    section(other).hidden = other !== tab;
    const link = document.querySelector(`nav a[href="#${other.id}"]`);
    if (other === tab) link?.setAttribute('aria-current', 'page');
    else link?.removeAttribute('aria-current');
  }
  return tab;
}

const mounted = new Set<Tab>();

async function mount(tab: Tab, device: Device): Promise<void> {
  if (mounted.has(tab)) return;
  mounted.add(tab);
  try {
    await tab.mount(section(tab), device);
  } catch (error) {
    console.error(error);
    section(tab).replaceChildren(notice(`${tab.label} cannot be shown`, [(error as Error).message]));
  }
}

async function start(main: HTMLElement): Promise<void> {
  find(document, 'button', '#theme').addEventListener('click', toggleTheme);
  // One tab needs no way to others.
  if (TABS.length > 1)
    find(document, 'nav', 'nav').append(...TABS.map(({ id, label }) => make('a', { href: `#${id}` }, label)));
  turn();
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (!adapter) {
    for (const tab of TABS) section(tab).hidden = true;
    const { title, lines } = adviceFor(navigator.userAgent, { secure: isSecureContext, gpu: Boolean(navigator.gpu) });
    // What the page would be stays, above what to do.
    main.append(find(document, 'div', '.intro'), notice(title, lines));
    return;
  }
  const device = await openDevice(navigator.gpu);
  addEventListener('hashchange', () => {
    scrollTo(0, 0); // not to the section, below the header
    void mount(turn(), device);
  });
  await mount(turn(), device);
}

/** What page.js does. */
export function begin(): void {
  const main = find(document, 'main', 'main');
  start(main).catch((error: Error) => {
    console.error(error);
    main.append(notice('The page cannot start', [error.message]));
  });
}
