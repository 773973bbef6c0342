// In Node: npx tesserae run engine/examples/classifier/node.ts
import { dawn } from 'tesserae/engine/node';
import { run } from './classifier.ts';

await run(dawn(), console.log);
