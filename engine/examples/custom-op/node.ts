// In Node: npx tesserae run engine/examples/custom-op/node.ts
import { dawn } from 'tesserae/engine/node';
import { run } from './custom-op.ts';

await run(dawn(), console.log);
