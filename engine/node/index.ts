// What only Node has: Dawn and files.
export { dawn, type DawnOptions, gently, openDawn } from './dawn.ts';
export * from './files.ts';
export { appendBytes, appendLine, cutLog, durableLength } from './logs.ts';
export { type FileSource, openSafetensorsFile } from './opened.ts';
export { PickFolder } from './pickfolder.ts';
