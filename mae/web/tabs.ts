// The page's tabs, in their order: a line each. A tab is mounted when it is first shown, into the <section> that has its name as id.
import type { Device } from '../../engine/index.ts';
import { mountLook } from './look/tab.ts';
import { mountTrain } from './train/tab.ts';

export interface Tab {
  /** Of its <section> in index.html, and behind # in the address. */
  readonly id: string;
  readonly label: string;
  /** Fills the section. What it throws is shown in its place. */
  readonly mount: (root: HTMLElement, device: Device) => Promise<void> | void;
}

export const TABS: readonly Tab[] = [
  { id: 'look', label: 'Look', mount: mountLook },
  { id: 'train', label: 'Train', mount: mountTrain },
];
