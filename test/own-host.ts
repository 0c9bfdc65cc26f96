// To be imported before all else: runs this whole test file, the daemons that it starts included, in a
// network namespace of its own. There it is the host: with addresses, an outside world behind a link,
// and rules and settings that nobody else has.

import { execFileSync } from 'node:child_process';

const MARK = 'JOBLET_TEST_OWN_HOST';

if (process.platform === 'linux' && process.getuid?.() === 0 && process.env[MARK] === undefined) {
  process.execve?.(
    '/usr/bin/unshare',
    ['unshare', '--net', '--', process.execPath, ...process.execArgv, ...process.argv.slice(1)],
    { ...process.env, [MARK]: '1' },
  );
}

if (process.env[MARK] !== undefined) execFileSync('ip', ['link', 'set', 'lo', 'up']);
