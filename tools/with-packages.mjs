// `node --import ./tools/with-packages.mjs FILE`: installs what is missing before FILE, which imports packages, is loaded.
import { ensurePackages } from './packages.mjs';
import { main } from './say.mjs';

await main(() => ensurePackages().then(() => 0));
if (process.exitCode) process.exit();
