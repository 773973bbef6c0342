// A page's own way to WebGPU, for files that are compiled without the types of pages.

export const gpu = (): GPU => (globalThis as unknown as { navigator: { gpu: GPU } }).navigator.gpu;
