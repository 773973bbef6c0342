// Cases of an independent implementation, where they are at hand: in the folder that TESSERAE_GOLDEN names, else beside the clone.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = process.env.TESSERAE_GOLDEN ?? fileURLToPath(new URL('../../../shared/golden', import.meta.url));

/** Name and path of every case; none where the folder is not there. */
export const goldenCases: readonly { name: string; path: string }[] = existsSync(folder)
  ? readdirSync(folder)
      .filter((name) => name.endsWith('.safetensors'))
      .map((name) => ({ name, path: join(folder, name) }))
  : [];
