// What tests of the page see and do there: the model's pixels on a canvas, a file that falls onto the page, the middle of a patch.
import type { Page } from 'playwright-core';

/** The pixels and patches of the model that ships. */
export const [SIDE, PATCH] = [32, 4];
export const ACROSS = SIDE / PATCH;

/** (height, width, 3): one value for each of the model's pixels, from the middle of its square on a canvas. */
export async function pixelsOn(
  page: Page,
  id: string,
  size: readonly [height: number, width: number] = [SIDE, SIDE],
): Promise<Uint8Array> {
  const rgb = await page.evaluate(
    ([id, [height, width]]) => {
      const canvas = document.querySelector(id) as HTMLCanvasElement;
      const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
      return Array.from({ length: 3 * height * width }, (_, i) => {
        const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
        const column = Math.floor(((x + 0.5) * canvas.width) / width);
        return data[4 * (Math.floor(((y + 0.5) * canvas.height) / height) * canvas.width + column) + (i % 3)];
      });
    },
    [id, size] as const,
  );
  return Uint8Array.from(rgb);
}

/** The patches in which two pictures differ. */
export function differing(a: Uint8Array, b: Uint8Array): number[] {
  const found = new Set<number>();
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [Math.floor(i / 3) % SIDE, Math.floor(i / 3 / SIDE)];
    if (a[i] !== b[i]) found.add(Math.floor(y / PATCH) * ACROSS + Math.floor(x / PATCH));
  }
  return [...found].sort((p, q) => p - q);
}

/** As from a file manager. */
export const dropOn = (page: Page, name: string, type: string, bytes: Buffer) =>
  page.evaluate(
    ([name, type, bytes]) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([Uint8Array.from(bytes)], name, { type }));
      for (const kind of ['dragover', 'drop'])
        document.body.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
    },
    [name, type, [...bytes]] as const,
  );

/** The middle of a patch on a canvas, in the window. */
export async function middleOf(page: Page, id: string, patch: number): Promise<[number, number]> {
  const box = (await page.locator(id).boundingBox())!;
  return [
    box.x + (((patch % ACROSS) + 0.5) * box.width) / ACROSS,
    box.y + ((Math.floor(patch / ACROSS) + 0.5) * box.height) / ACROSS,
  ];
}
