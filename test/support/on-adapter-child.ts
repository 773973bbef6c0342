// The other process of on-adapter.ts: ENTRY NAME INPUT. The last line that it prints is the result as JSON.
import { openDawn } from '../../engine/node/dawn.ts';

const [entry, name, input] = process.argv.slice(2);
const module = await import(new URL(`../../${entry}`, import.meta.url).href);
const device = await openDawn();
const result = await module[name](device, JSON.parse(input));
device.check();
// Dawn would keep Node alive.
process.stdout.write(`\n${JSON.stringify(result)}\n`, () => process.exit(0));
