// The logs of a node's jobs as its configuration has them, with what looks after them behind the jobs.

import { Archive } from '../archive/archive.ts';
import { openStore } from '../archive/open.ts';
import { ArchiveRows } from '../archive/rows.ts';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import type { Db } from '../store/db.ts';
import { archiveRecord, followerFor } from './archive-record.ts';
import type { Bells } from './bells.ts';
import type { Clock } from './due.ts';
import type { Jobs } from './jobs.ts';
import { LogKeeping } from './log-keeping.ts';
import type { LogRows } from './log-rows.ts';
import { type LogOwners, Logs } from './logs.ts';
import { Retention } from './retention.ts';
import { Sealing } from './sealing.ts';
import type { JobStore } from './store.ts';

interface Parts {
  readonly db: Db;
  readonly logRows: LogRows;
  readonly store: JobStore;
  readonly bells: Bells;
  /** Whose they are; asked when both are there, for jobs need their logs too. */
  readonly jobs: () => Pick<Jobs, 'isOver' | 'keptBytes' | 'droppedBytes' | 'runningIds'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Nothing is done to them before keeping and archive are started, and `followers` are told of jobs. */
export function openLogs(config: Config, parts: Parts) {
  const { logRows: rows, store, jobs, clock, log } = parts;
  const archived = openStore(config.archive, process.env);
  const archive =
    archived &&
    new Archive({
      store: archived,
      rows: new ArchiveRows(parts.db),
      directoryOf: (id) => logs.directoryOf(id),
      recordOf: (id) => archiveRecord(store.find(id), config.server.nodeId),
      settle: (id) => sealing.settle(id),
      clock,
      log,
    });
  const owners: LogOwners = {
    isOver: (id) => jobs().isOver(id),
    keptBytes: (id) => jobs().keptBytes(id),
    droppedBytes: (id) => jobs().droppedBytes(id),
    removalOf: (id) => rows.removalOf(id),
  };
  const logs = new Logs(config.logs.directory, parts.bells, owners, archive);
  const directoryOf = (id: string) => logs.directoryOf(id);
  const sealing = new Sealing({
    directoryOf,
    running: () => jobs().runningIds(),
    rows,
    sealed: (id) => archive?.sealed(id),
    log,
  });
  const retention = new Retention({
    config: config.logs,
    rows,
    maySpare: async (id) => archive === undefined || archive.holds(id),
    discard: (id) => sealing.between(() => logs.discard(id)),
    clock,
    log,
  });
  const logKeeping = new LogKeeping({
    sealing,
    retention,
    everyMs: config.logs.sealAfterMs,
    clock,
    log,
  });
  const followers = [...(archive === undefined ? [] : [followerFor(archive)]), logKeeping.follower];
  return { logs, archive, logKeeping, followers };
}
