// `joblet backup` and `joblet restore`: the state of this node into one file, and back.

import { existsSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { JobletError } from '../shared/errors.ts';
import { loadConfig } from './config.ts';
import { askDaemon, isDaemonThere } from './control.ts';
import { type BackupFacts, restoreBackup, sealBackup } from './store/backup.ts';
import { Db, databaseFile } from './store/db.ts';
import { faultOf, tryWriting } from './store/faults.ts';

const BACKUP_USAGE = `joblet backup copies the state of this node into one file, while the daemon runs or while it does not.

Usage:
  joblet backup [--config FILE] TARGET

The file holds jobs, the audit log and the secrets of jobs, so that only its owner can read it. An older
file of that name is replaced once the new one is whole. The output of jobs is not in it: see the guide.

Example:
  joblet backup /var/backups/joblet.backup
`;

const RESTORE_USAGE = `joblet restore puts a backup in the place of the state of this node. No daemon may run.

Usage:
  joblet restore [--config FILE] [--force] BACKUP

  --force   where there is a state already; it is kept beside the new one

Jobs that had not ended when the backup was made end at the next start: as their logs say, or else with
reason STATE_RESTORED. None of them is run again.

Example:
  joblet restore /var/backups/joblet.backup && systemctl start joblet
`;

/** Runs `joblet backup ARGV`; answers the exit code. */
export async function backupCommand(argv: string[]): Promise<number> {
  const { values, file } = read(argv, BACKUP_USAGE);
  if (file === undefined) return values.help === true ? 0 : 2;
  const { state, run } = loadConfig(values.config, process.env);
  process.umask(0o077);
  const copy = `${file}.part`;
  try {
    tryWriting(path.dirname(file));
    rmSync(copy, { force: true });
    if (!(await askDaemon(run.directory, { copyTo: copy }))) await copyIdle(state.path, copy);
    if (!existsSync(copy)) {
      throw new JobletError(
        'unavailable',
        `the daemon wrote ${copy}, but it is not to be seen from here: name a directory that both see`,
      );
    }
    say(`${file}: ${describe(sealBackup(copy, file))}`);
    return 0;
  } catch (error) {
    rmSync(copy, { force: true });
    throw faultOf(error, file);
  }
}

/** Runs `joblet restore ARGV`; answers the exit code. */
export async function restoreCommand(argv: string[]): Promise<number> {
  const { values, file } = read(argv, RESTORE_USAGE);
  if (file === undefined) return values.help === true ? 0 : 2;
  const { state, logs, run } = loadConfig(values.config, process.env);
  process.umask(0o077);
  if (await isDaemonThere(run.directory)) {
    throw new JobletError(
      'wrong-state',
      `a daemon runs on ${state.path}; stop it first: a restore would take its state from under it`,
    );
  }
  for (const directory of [state.path, logs.directory]) mkdirSync(directory, { recursive: true });
  const facts = restoreBackup(file, state.path, values.force === true);
  say(`${state.path} is restored: ${describe(facts)}`);
  if (facts.unfinished > 0) say('Those that had not ended are settled when the daemon starts.');
  return 0;
}

/** Where no daemon runs, nobody writes meanwhile. */
async function copyIdle(state: string, copy: string): Promise<void> {
  if (!existsSync(databaseFile(state))) {
    throw new JobletError('not-found', `there is no state in ${state}, so nothing to back up`);
  }
  const db = new Db(state, {}, 'as it is');
  try {
    await db.copyTo(copy);
  } finally {
    db.close();
  }
}

function read(argv: string[], usage: string) {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      force: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const [file, ...more] = positionals;
  if (values.help === true || file === undefined || more.length > 0) {
    process[values.help === true ? 'stdout' : 'stderr'].write(usage);
    return { values, file: undefined };
  }
  return { values, file: path.resolve(file) };
}

function describe({ jobs, unfinished, bytes, schema }: BackupFacts): string {
  const size = (bytes / (1 << 20)).toFixed(1);
  return `${jobs} jobs, ${unfinished} of them not ended; ${size} MB, schema ${schema}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
