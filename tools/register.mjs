// `node --import ./tools/register.mjs file.ts`: runs TypeScript and .wgsl imports straight from the source, in the main
// thread and in workers (a plain `import 'tsx'` does nothing in those).
import { register } from 'node:module';
import { register as tsx } from 'tsx/esm/api';

tsx();
register('./hooks.mjs', import.meta.url);
