// The tab in which pictures are hidden in part and rebuilt.
import type { Device } from '../../../engine/index.ts';

export function mountLook(_root: HTMLElement, _device: Device): void {}
