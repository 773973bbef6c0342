// `node --import ./tools/register.mjs file.ts`: runs TypeScript and .wgsl imports straight from the source.
import { register } from 'node:module';
import 'tsx';
register('./hooks.mjs', import.meta.url);
