// What one record of the audit log says: who did what, when, and with which result.

/** What a record can be about. A new kind of change adds its word here, and writes it where it happens. */
export const actions = [
  'daemon.start',
  'daemon.stop',
  'job.created',
  'job.waiting',
  'job.starting',
  'job.running',
  'job.stop',
  'job.extend',
  'job.input',
  'job.get',
  'job.put',
  'job.ended',
  'job.deleted',
  'job.log-removed',
  'volume.created',
  'volume.resized',
  'volume.removed',
  'runtime.installed',
  'runtime.built',
  'runtime.removed',
  'workflow.created',
  'workflow.running',
  'workflow.stop',
  'workflow.cancel',
  'workflow.retry',
  'workflow.ended',
  'workflow.deleted',
  'schedule.created',
  'schedule.paused',
  'schedule.resumed',
  'schedule.deleted',
  'job.network',
  'network.created',
  'network.removed',
  'alert.fired',
  'alert.resolved',
  'call.refused',
  'certificates.reload',
  'state.copied',
  'state.restored',
  'audit.pruned',
  'audit.broken',
] as const;

export type Action = (typeof actions)[number];

/** Who acted. All of it is empty when it was the daemon itself. */
export interface Actor {
  /** The name in the certificate; empty too when the certificate proves none. */
  readonly name: string;
  readonly role: string;
  /** Serial number of the certificate, capital hexadecimal digits. */
  readonly certificate: string;
  /** `address:port`, or the address alone where a record stands for several calls. */
  readonly peer: string;
}

/** What is to be recorded; what is left out is empty, and stands for one occurrence. */
export interface Entry {
  readonly atMs: number;
  readonly action: Action;
  readonly jobId?: string;
  /** Path of a refused call. */
  readonly method?: string;
  readonly who?: Actor | undefined;
  /** The status a job came to, the kind of a refusal, or `ok` and `failed`. */
  readonly result: string;
  /** A sentence, or a word and a sentence. Never a secret. */
  readonly detail?: string;
  readonly count?: number;
}

/** The content of a record as it is kept and hashed. */
export interface Content extends Actor {
  readonly atMs: number;
  readonly action: string;
  readonly jobId: string;
  readonly method: string;
  readonly result: string;
  readonly detail: string;
  readonly count: number;
}

export interface AuditRecord extends Content {
  /** From 1, without gaps. */
  readonly sequence: number;
  /** 64 hexadecimal digits; see chain.ts. */
  readonly hash: string;
}

/** Clients choose some texts, so each is bounded. */
const MAX_TEXT_CHARS = 512;

export const daemonItself: Actor = { name: '', role: '', certificate: '', peer: '' };

/** The content that an entry becomes. */
export function contentOf(entry: Entry): Content {
  const { name, role, certificate, peer } = entry.who ?? daemonItself;
  return {
    atMs: entry.atMs,
    action: entry.action,
    jobId: entry.jobId ?? '',
    method: bounded(entry.method ?? ''),
    name: bounded(name),
    role,
    certificate: bounded(certificate),
    peer,
    result: entry.result,
    detail: bounded(entry.detail ?? ''),
    count: entry.count ?? 1,
  };
}

/** Well-formed too: the database would turn half a character into another one, and break the chain. */
function bounded(text: string): string {
  return (
    text.length > MAX_TEXT_CHARS ? `${text.slice(0, MAX_TEXT_CHARS)}...` : text
  ).toWellFormed();
}
