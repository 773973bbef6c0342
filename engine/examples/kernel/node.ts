// In Node: npx tesserae run engine/examples/kernel/node.ts
import { dawn } from 'tesserae/engine/node';
import { run } from './kernel.ts';

await run(dawn(), console.log);
