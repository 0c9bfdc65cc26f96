// What a node remembers, and where: its directories, and its database with the audit log, which one
// daemon holds at a time.

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Audit } from './audit/audit.ts';
import type { Config } from './config.ts';
import { LogRows } from './jobs/log-rows.ts';
import { JobStore } from './jobs/store.ts';
import type { Log } from './log.ts';
import type { Stops } from './stops.ts';
import { Db } from './store/db.ts';
import { assertTogether, makeWritable } from './store/directories.ts';
import { tellOwner } from './store/owner.ts';
import { version } from './version.ts';

export interface State {
  readonly db: Db;
  readonly audit: Audit;
  readonly store: JobStore;
  readonly logRows: LogRows;
}

/** Directories that a node writes to. */
export function directoriesOf(config: Config): string[] {
  const { state, logs, volumes, runtimes } = config;
  return [
    state.path,
    logs.directory,
    workDirectoryOf(config),
    volumes.directory,
    runtimes.directory,
  ];
}

/** Where work directories of jobs lie. */
export function workDirectoryOf({ run }: Config): string {
  return path.join(run.directory, 'work');
}

/**
 * Opens it, or makes a new one. `recovered` is called when the state can be written again after it could
 * not.
 * @throws JobletError unavailable: it is not whole, cannot be written, or another daemon has it
 */
export async function openState(
  config: Config,
  log: Log,
  stops: Stops,
  recovered: () => void,
): Promise<State> {
  assertTogether(config.state.path, config.logs.directory);
  for (const directory of directoriesOf(config)) makeWritable(directory);
  const db = new Db(config.state.path, {
    failed: (why) => log.error('the state cannot be written', { why }),
    recovered: () => {
      log.info('the state can be written again');
      recovered();
    },
    noticed: (what) => log.warn(what),
  });
  stops.push(() => db.close());
  tellOwner(config.state.path, '');
  const pidFile = path.join(config.run.directory, 'joblet.pid');
  writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o644 });
  const audit = new Audit(db, config.state.path, config.audit, log);
  stops.push(() => audit.stop());
  await audit.start(`version ${version.version}, pid ${process.pid}`);
  return { db, audit, store: new JobStore(db, audit), logRows: new LogRows(db, audit) };
}
