import { saveCheckpoint } from './mae/train/checkpoint.ts';
import { initialWeights } from './mae/model/init.ts';
import { configure } from './mae/model/config.ts';
for (const [f,norm] of [['a',false],['b',true]] as const) {
const config = configure('mae_vit_small_patch16', { norm_pix_loss: norm, depth:1, decoder_depth:1, img_size:[192,256] });
await saveCheckpoint(`/tmp/${f}.safetensors`, { config, weights: initialWeights(config, 1), data: {name:'x',mean:[.485,.456,.406],std:[.229,.224,.225],classes:null}, maskRatio:.75, moments:null, training:null }); }
process.exit(0);
