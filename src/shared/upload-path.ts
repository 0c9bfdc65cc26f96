// What an uploaded file may be called. The same rule holds in the client, which can name the file
// at once, and in the daemon, which believes nobody.

/** Bytes of one part of a path, as file systems have it, and of the whole. */
const PART_BYTES = 255;
const PATH_BYTES = 1024;
/** Folders and file; what is deeper costs a system call for each part, for every file. */
const PARTS = 100;

/** What is wrong with a path relative to the work directory; undefined when nothing is. */
export function pathProblem(path: string): string | undefined {
  if (path === '') return 'has no name';
  if (path.includes('\0')) return 'holds a NUL character';
  if (path.startsWith('/')) return 'is absolute; give it relative to the work directory';
  if (Buffer.byteLength(path) > PATH_BYTES) return `is longer than ${PATH_BYTES} bytes`;
  const parts = path.split('/', PARTS + 1);
  if (parts.length > PARTS) return `lies deeper than ${PARTS} folders`;
  for (const part of parts) {
    if (part === '..') return 'leads out of the work directory by ..';
    if (part === '' || part === '.') return 'holds an empty part or a dot';
    if (Buffer.byteLength(part) > PART_BYTES) return `holds a part longer than ${PART_BYTES} bytes`;
  }
  return undefined;
}
