// The users of a tree. Programs that ask for their user's home instead of HOME are sent to where they
// may write.

import { readFileSync } from 'node:fs';
import type { Seen } from './seen.ts';
import type { Found } from './within.ts';

export const PASSWD = '/etc/passwd';
const MAX_PASSWD_BYTES = 64 * 1024;

/** The operations for the tree's own users, with that home; none for what is no plain list of users. */
export function usersOf({ file, stats }: Found, seen: Seen): string[] {
  seen.note(file);
  if (stats.size > MAX_PASSWD_BYTES) return [];
  const users = readFileSync(file, 'utf8');
  return users.includes('\0') ? [] : ['file', PASSWD, '0644', withHomeOfJobs(users)];
}

function withHomeOfJobs(passwd: string): string {
  return passwd.replace(/^(root:[^:\n]*:0:[^:\n]*:[^:\n]*:)[^:\n]*/m, '$1/work');
}
