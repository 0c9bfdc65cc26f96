// A volume as a job names it: `NAME[:/path][:ro]`.

import { checkName } from './names.ts';

export interface VolumeMount {
  readonly name: string;
  /** Where the job sees it: absolute, without `.`, `..` and double slashes. */
  readonly path: string;
  readonly readOnly: boolean;
}

const MAX_PATH_BYTES = 1024;

/** What a job must not cover: the kernel's own views, and what they are built on, of GPUs too. */
const CLOSED = ['/', '/proc', '/sys', '/dev', '/run', '/nvidia'];
/** There a job may write by itself, and so below it. */
const OPEN = ['/dev/shm'];

/** Reads one; a text is what is wrong with it. */
export function parseVolumeMount(text: string): VolumeMount | string {
  const [name = '', ...rest] = text.split(':');
  const readOnly = rest.at(-1) === 'ro';
  if (readOnly || rest.at(-1) === 'rw') rest.pop();
  const shown = JSON.stringify(text.slice(0, 64));
  if (rest.length > 1) return `${shown} is not NAME[:/path][:ro]`;
  const nameProblem = checkName(name);
  if (nameProblem !== undefined) {
    return `${shown}: the name ${nameProblem}; write it as NAME[:/path][:ro]`;
  }
  const [path = `/volumes/${name}`] = rest;
  const pathProblem = checkPath(path);
  return pathProblem === undefined ? { name, path, readOnly } : `${shown}: ${pathProblem}`;
}

/** The inverse of parseVolumeMount, with the path only where it is not the usual one. */
export function formatVolumeMount({ name, path, readOnly }: VolumeMount): string {
  const place = path === `/volumes/${name}` ? '' : `:${path}`;
  return `${name}${place}${readOnly ? ':ro' : ''}`;
}

/** What is wrong with the paths of several volumes together, or undefined. */
export function clashOf(mounts: readonly VolumeMount[]): string | undefined {
  const sorted = mounts.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  for (const [at, { path }] of sorted.entries()) {
    const inner = sorted.slice(at + 1).find((other) => isWithin(other.path, path));
    if (inner?.path === path) return `two volumes have the path ${path}; give one of them another`;
    if (inner !== undefined) return `${inner.path} lies within ${path}, which is a volume too`;
  }
  return undefined;
}

/** Whether a path is another one or lies below it. */
export function isWithin(path: string, above: string): boolean {
  return path === above || path.startsWith(above === '/' ? '/' : `${above}/`);
}

function checkPath(path: string): string | undefined {
  if (!path.startsWith('/')) return 'the path has to be absolute';
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `the path is over ${MAX_PATH_BYTES} bytes`;
  if (/\p{Cc}/u.test(path)) return 'the path holds a control character';
  const parts = path.slice(1).split('/');
  if (parts.some((part) => part === '.' || part === '..')) return 'the path holds . or ..';
  if (path !== '/' && parts.includes('')) return 'the path holds an empty part';
  const closed = CLOSED.find((each) => path === each || (each !== '/' && isWithin(path, each)));
  if (closed === undefined || OPEN.some((each) => isWithin(path, each) && path !== each)) {
    return undefined;
  }
  return `no volume can stand at ${path}`;
}
