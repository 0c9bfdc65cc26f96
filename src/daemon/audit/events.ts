// Events: what becomes of the things that a node keeps. They are the records of the audit log that tell
// of a change, without what only admins may know, so there is no second list that would have to agree.

import { type Action, type AuditRecord, actions } from './record.ts';

export const eventKinds = [
  'job',
  'workflow',
  'schedule',
  'volume',
  'network',
  'runtime',
  'alert',
  'node',
] as const;

export type EventKind = (typeof eventKinds)[number];

export interface Event {
  readonly sequence: number;
  readonly atMs: number;
  readonly kind: EventKind;
  /** The id of a job or a workflow, else a name; the node has none. */
  readonly subject: string;
  readonly action: Action;
  readonly status: string;
  readonly detail: string;
  /** The client's name. */
  readonly who: string;
}

/** What each record is an event of; undefined is none, as nothing changed that others could see. */
const kindOf = {
  'daemon.start': 'node',
  'daemon.stop': 'node',
  'job.created': 'job',
  'job.waiting': 'job',
  'job.starting': 'job',
  'job.running': 'job',
  'job.stop': 'job',
  'job.extend': 'job',
  'job.input': undefined,
  'job.get': undefined,
  'job.put': undefined,
  'job.ended': 'job',
  'job.deleted': 'job',
  'job.log-removed': 'job',
  'volume.created': 'volume',
  'volume.resized': 'volume',
  'volume.removed': 'volume',
  'runtime.installed': 'runtime',
  'runtime.built': 'runtime',
  'runtime.removed': 'runtime',
  'workflow.created': 'workflow',
  'workflow.running': 'workflow',
  'workflow.stop': 'workflow',
  'workflow.cancel': 'workflow',
  'workflow.retry': 'workflow',
  'workflow.ended': 'workflow',
  'workflow.deleted': 'workflow',
  'schedule.created': 'schedule',
  'schedule.paused': 'schedule',
  'schedule.resumed': 'schedule',
  'schedule.deleted': 'schedule',
  'job.network': 'job',
  'network.created': 'network',
  'network.removed': 'network',
  'alert.fired': 'alert',
  'alert.resolved': 'alert',
  'call.refused': undefined,
  'certificates.reload': undefined,
  'state.copied': undefined,
  'state.restored': 'node',
  'audit.pruned': undefined,
  'audit.broken': undefined,
} as const satisfies Record<Action, EventKind | undefined>;

/** Things that are known by their ids; the record of any other begins with its name. */
const byId: readonly EventKind[] = ['job', 'workflow'];

/** The actions that are events, of some kinds or of all. */
export function eventActions(kinds: readonly EventKind[] = eventKinds): Action[] {
  return actions.filter((action) => kinds.some((kind) => kind === kindOf[action]));
}

/** The event that a record is. */
export function toEvent(record: AuditRecord): Event | undefined {
  const action = actions.find((known) => known === record.action);
  const kind = action && kindOf[action];
  if (action === undefined || kind === undefined) return undefined;
  const { sequence, atMs, jobId, result: status, name: who } = record;
  const [subject, detail] = subjectOf(kind, jobId, record.detail);
  return { sequence, atMs, kind, subject, action, status, detail, who };
}

/** What a record is about, and what there is to add. */
function subjectOf(kind: EventKind, id: string, detail: string): [string, string] {
  if (kind === 'node') return ['', detail];
  if (byId.includes(kind)) return [id, detail];
  const [, name = '', rest = ''] = /^([^\s:]*)[\s:]*(.*)$/s.exec(detail) ?? [];
  return [name, rest];
}

/** Whether a thing is among those that are wanted: ids may be cut to their beginning. */
export function isAbout({ kind, subject }: Event, subjects: readonly string[]): boolean {
  if (subjects.length === 0) return true;
  return subjects.some((wanted) =>
    byId.includes(kind) ? subject.startsWith(wanted.toLowerCase()) : subject === wanted,
  );
}
