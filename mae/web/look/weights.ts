// The weights that the tab begins with.

export const WEIGHTS = 'weights/cifar10.safetensors';

/** Asks for them while the page's script is still on its way, where the address opens this tab: others have no use for them. */
export function preloadWeights(): void {
  if (!['', '#', '#look'].includes(location.hash)) return;
  const link = document.createElement('link');
  document.head.append(Object.assign(link, { rel: 'preload', as: 'fetch', crossOrigin: 'anonymous', href: WEIGHTS }));
}
