// What only Node has: Dawn and files.
export { type DawnOptions, gently, openDawn } from './dawn.ts';
export * from './files.ts';
export { PickFolder } from './pickfolder.ts';
