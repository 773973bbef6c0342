import { catalogue } from './kernels/index.ts';
for (const k of catalogue) console.log(k.name, Object.keys(k.variants).join(), k.cases.length, Math.max(...k.cases.map((c:any)=>k.flops({...k.options,...c}))), k.inout.join());
