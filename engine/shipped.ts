// Picks that ship: measured on quiet machines by `tesserae tune`, and written here by bench/ship.ts. A user's own go before them.
import type { PickTable } from './picks.ts';

export const SHIPPED: readonly PickTable[] = [
  {
    version: 1,
    adapter: 'mesa software, driver 26, subgroups 16-16',
    picks: {
      'gemm cpu/0 LAYOUT=1 EPILOGUE=1 m=1024 n=192 k=48 batch=1 splits=1': {
        knobs: { SG: 16, TM: 32, TN: 4, KC: 8 },
        own: 0.4736,
        best: 0.3816,
      },
      'gemm cpu/0 LAYOUT=1 EPILOGUE=3 m=1152 n=192 k=192 batch=1 splits=1': {
        knobs: { SG: 16, TM: 32, TN: 4, KC: 8 },
        own: 1.001,
        best: 0.8946,
      },
      'gemm cpu/0 LAYOUT=1 EPILOGUE=3 m=1152 n=192 k=768 batch=1 splits=1': {
        knobs: { SG: 16, TM: 32, TN: 4, KC: 8 },
        own: 3.263,
        best: 2.954,
      },
      'attention.forward cpu/0 batch=64 tokens=72 heads=4 dim=32': {
        knobs: { DIM: 32, SG: 16, R: 2, KB: 4, BROADCAST: false, HELD: 1 },
        own: 3.287,
        best: 3.111,
      },
      'gemm cpu/0 LAYOUT=2 DBIAS=true m=128 n=512 k=4608 batch=1 splits=1': {
        knobs: { SG: 16, TM: 32, TN: 6, KC: 8 },
        own: 14.9,
        best: 13.35,
      },
      'gemm cpu/0 LAYOUT=2 DBIAS=true m=512 n=128 k=4608 batch=1 splits=1': {
        knobs: { SG: 16, TM: 16, TN: 8, KC: 8 },
        own: 10.37,
        best: 9.43,
      },
      'gemm cpu/0 LAYOUT=2 DBIAS=true m=384 n=128 k=4608 batch=1 splits=1': {
        knobs: { SG: 16, TM: 16, TN: 8, KC: 8 },
        own: 6.904,
        best: 6.518,
      },
      'gemm cpu/0 m=1152 n=192 k=128 batch=1 splits=1': {
        knobs: { SG: 16, TM: 32, TN: 4, KC: 8 },
        own: 0.6463,
        best: 0.6132,
      },
      'gemm cpu/0 m=1152 n=192 k=768 batch=1 splits=1': {
        knobs: { SG: 16, TM: 32, TN: 4, KC: 8 },
        own: 3.252,
        best: 2.987,
      },
      'gemm cpu/0 LAYOUT=2 DBIAS=true m=576 n=192 k=1152 batch=1 splits=1': {
        knobs: { SG: 16, TM: 32, TN: 4, KC: 8 },
        own: 3.417,
        best: 2.539,
      },
      'gemm cpu/0 m=1152 n=192 k=576 batch=1 splits=1': {
        knobs: { SG: 16, TM: 32, TN: 4, KC: 8 },
        own: 2.577,
        best: 2.436,
      },
      'gemm cpu/0 LAYOUT=1 EPILOGUE=1 m=4608 n=192 k=64 batch=1 splits=1': {
        knobs: { SG: 16, TM: 16, TN: 6, KC: 8 },
        own: 1.926,
        best: 1.488,
      },
      'attention.forward cpu/0 batch=64 tokens=72 heads=4 dim=16': {
        knobs: { DIM: 16, SG: 16, R: 2, KB: 4, BROADCAST: false, HELD: 1 },
        own: 1.799,
        best: 1.611,
      },
      'gemm cpu/0 LAYOUT=2 DBIAS=true m=48 n=64 k=4096 batch=1 splits=1': {
        knobs: { SG: 16, TM: 32, TN: 4, KC: 8 },
        own: 0.54,
        best: 0.4556,
      },
      'gemm cpu/0 LAYOUT=2 DBIAS=true m=96 n=96 k=1152 batch=1 splits=1': {
        knobs: { SG: 16, TM: 16, TN: 6, KC: 8 },
        own: 0.2893,
        best: 0.273,
      },
    },
  },
  {
    version: 1,
    adapter: 'mesa software, driver 25, subgroups 8-8',
    picks: {
      'attention.forward cpu/0 batch=64 tokens=72 heads=4 dim=32': {
        knobs: { DIM: 32, SG: 8, R: 3, KB: 2, BROADCAST: true, HELD: 1 },
        own: 4.043,
        best: 3.734,
      },
    },
  },
];
