// What the files of a workflow are called: on their way, and in the work directory of a job.

/**
 * The name in the work directory of a file or folder that a workflow file names: its path below the
 * folder of that file, or its last part where it lies elsewhere. Empty is that folder itself.
 */
export function nameInJob(written: string): string {
  const parts: string[] = [];
  for (const part of written.split('/')) {
    if (part === '..' && parts.length > 0 && parts.at(-1) !== '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  const isElsewhere = written.startsWith('/') || parts[0] === '..';
  return isElsewhere ? (parts.at(-1) ?? '') : parts.join('/');
}
