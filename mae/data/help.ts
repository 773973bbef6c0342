// What --data_path takes: the names of sets, and the words of every command's help.

/** Sets that are fetched by name (known.ts). All come as train and test; the last training images are kept back. */
export const NAMED_SETS = ['cifar10', 'cifar100', 'mnist', 'fashion-mnist'] as const;

/** Whether the path is one of these names, with a choice of labels or without. */
export const isNamedSet = (path: string): boolean => NAMED_SETS.some((name) => name === path.split('#')[0]);

export const DATA_PATH_HELP =
  'a folder of images (train/CLASS/*.jpg with val/ and test/ if it has them, or one flat folder); the name of a set (cifar10, mnist, …: tesserae data lists ' +
  "them); or files: CIFAR's archives and binaries, MNIST's idx, WebDataset .tar shards, parquet, .npy";
