// What only Node has: Dawn and files.
export { dawn, type DawnOptions, gently, openDawn } from './dawn.ts';
export * from './files.ts';
export { PickFolder } from './pickfolder.ts';
