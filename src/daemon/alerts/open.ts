// Puts the parts of alerts together.

import type { Rule, Target } from '../alert-rules.ts';
import type { Clock } from '../jobs/due.ts';
import type { Log } from '../log.ts';
import type { Db } from '../store/db.ts';
import { Alerts, type AlertsParts } from './alerts.ts';
import { Outbox } from './outbox.ts';
import { type ReadingParts, Readings } from './readings.ts';
import { AlertStore } from './store.ts';

interface Parts extends Omit<ReadingParts, 'log'>, Pick<AlertsParts, 'audit' | 'nameOf'> {
  readonly config: {
    readonly rules: readonly Rule[];
    readonly targets: readonly Target[];
    readonly intervalMs: number;
  };
  readonly db: Db;
  readonly nodeId: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** The alerts of a node; nothing is looked at before they are started. */
export function openAlerts(parts: Parts): Alerts {
  const { config, db, nodeId, clock, log } = parts;
  const store = new AlertStore(db);
  const outbox = new Outbox({ db, store, targets: config.targets, nodeId, clock, log });
  return new Alerts({ ...parts, ...config, store, outbox, readings: new Readings(parts) });
}
