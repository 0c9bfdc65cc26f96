// Why a file of the caller's cannot be had, in words of everyday where it is of everyday.

import { messageOf } from '../shared/errors.ts';

export function localReason(error: unknown): string {
  const { code, path } = error as NodeJS.ErrnoException;
  if (path === undefined) return messageOf(error);
  switch (code) {
    case 'ENOENT':
      return `there is no ${path}`;
    case 'EACCES':
    case 'EPERM':
      return `${path} may not be read by you (${code})`;
    default:
      return messageOf(error);
  }
}
