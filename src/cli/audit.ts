// rnx audit: who did what on a daemon, and whether the log of it is as it was written.

import type { Connection } from '../client/connection.ts';
import type { AuditEntry, AuditVerdict, AuditWish } from '../client/messages.ts';
import { followAudit, queryAudit, verifyAudit } from '../client/methods.ts';
import { command, type Values } from './command.ts';
import { INTERRUPTED_EXIT_CODE } from './job-log.ts';
import type { Output } from './output.ts';
import { goingOn, Patience } from './patience.ts';
import { jsonLine, jsonText, localTime, visible } from './print.ts';
import { parsePast } from './schedule.ts';
import type { Session } from './session.ts';

const DEADLINE_MS = 60_000;

/** A million records take twelve seconds. */
const VERIFY_DEADLINE_MS = 30 * 60_000;

const DEFAULT_RECORDS = 100;
const PAGE_RECORDS = 1000;

/** Below this, ids are shown by their beginning. */
const NARROW_COLUMNS = 120;
const SHORT_ID = 8;

const flags = {
  follow: { kind: 'switch', short: 'f', help: 'go on with the records to come' },
  limit: { kind: 'integer', value: 'N', help: 'the newest N (100 unless said); 0 is all' },
  job: { kind: 'text', value: 'JOB', help: 'about this job: its id or a beginning' },
  who: { kind: 'text', value: 'NAME', help: 'of this client' },
  action: { kind: 'list', value: 'WORD', help: 'only these, as job.ended; several by commas' },
  result: { kind: 'text', value: 'WORD', help: 'with this result, as FAILED or denied' },
  since: { kind: 'text', value: 'WHEN', help: '1h (ago), "2026-12-24 18:00", RFC 3339' },
  until: { kind: 'text', value: 'WHEN', help: 'before this' },
  verify: { kind: 'switch', help: 'check that no record was changed, removed or put in' },
  expect: { kind: 'text', value: 'HEAD', help: 'with --verify: a head you kept earlier' },
} as const;

type Wanted = Values<typeof flags>;

export const audit = command({
  usage: 'rnx audit [flags]',
  summary: 'Shows who did what on the daemon, the newest last. For admins.',
  notes: ['--verify ends with 1 when a record is wrong; keep the head it prints elsewhere.'],
  examples: [
    'rnx audit --since 1h --who ann --action job.created,job.stop',
    'rnx audit --follow --action call.refused',
  ],
  flags,
  words: [0, 0],
  run: async (values, _words, session) =>
    values.verify ? verify(values, session) : show(values, session),
});

async function verify({ expect }: Wanted, { connect, deadlineMs, json, out }: Session) {
  const connection = await connect();
  const deadline = { deadlineMs: deadlineMs(VERIFY_DEADLINE_MS) };
  const verdict = await connection.unary(verifyAudit, { expect }, deadline);
  await out.write(json ? jsonText(verdictJson(verdict)) : verdictText(verdict));
  return verdict.damageCount === 0n ? 0 : 1;
}

async function show(wanted: Wanted, session: Session): Promise<number> {
  const filter = toFilter(wanted, Date.now());
  const connection = await session.connect();
  const print = (record: AuditEntry) =>
    session.out.write(
      session.json ? jsonLine(recordJson(record)) : recordLine(record, session.out),
    );
  const stopped = new AbortController();
  if (wanted.follow) process.once('SIGINT', () => stopped.abort());
  const most = wanted.limit ?? DEFAULT_RECORDS;
  let after = 0n;
  if (most > 0) {
    const newest = await findNewest(connection, filter, most, session.deadlineMs(DEADLINE_MS));
    for (const record of newest.records) await print(record);
    if (!wanted.follow) return 0;
    after = newest.head;
  }
  const { signal } = stopped;
  const open = () => {
    const request = { filter, after, noFollow: !wanted.follow };
    return connection.serverStream(followAudit, request, { signal });
  };
  const patience = new Patience(session.err, signal);
  try {
    for await (const record of wanted.follow ? goingOn(patience, open) : open()) {
      await print(record);
      after = record.sequence;
    }
  } catch (error) {
    if (!stopped.signal.aborted) throw error;
    return INTERRUPTED_EXIT_CODE;
  }
  return 0;
}

function toFilter({ job, who, action, result, since, until }: Wanted, nowMs: number): AuditWish {
  return {
    jobUuid: job,
    who,
    result,
    actions: action.flatMap((text) => text.split(',')).map((word) => word.trim()),
    since: since === undefined ? undefined : parsePast('--since', since, nowMs),
    until: until === undefined ? undefined : parsePast('--until', until, nowMs),
  };
}

/** The newest records, the oldest of them first, and where to follow on. */
async function findNewest(
  connection: Connection,
  filter: AuditWish,
  most: number,
  deadlineMs: number | undefined,
): Promise<{ readonly records: AuditEntry[]; readonly head: bigint }> {
  const records: AuditEntry[] = [];
  let head: bigint | undefined;
  let pageToken = '';
  do {
    const limit = Math.min(PAGE_RECORDS, most - records.length);
    const page = await connection.unary(queryAudit, { filter, limit, pageToken }, { deadlineMs });
    records.push(...page.records);
    head ??= page.head;
    pageToken = page.nextPageToken;
  } while (pageToken !== '' && records.length < most);
  return { records: records.reverse(), head };
}

/** A record on one line; what is not there is a dash. */
export function recordLine(record: AuditEntry, out: Output): string {
  const isNarrow = out.columns !== undefined && out.columns < NARROW_COLUMNS;
  const idColumns = isNarrow ? SHORT_ID : 36;
  const cell = (text: string, columns: number) => (visible(text) || '-').padEnd(columns);
  const { jobUuid, method, detail, count } = record;
  const times = count > 1n ? `(${count} times) ` : '';
  const call = method === '' ? '' : `${method.split('/').at(-1)}: `;
  const line = [
    localTime(record.time),
    cell(record.action, 17),
    cell(record.result, 12),
    cell(record.who, 12),
    cell(jobUuid.slice(0, idColumns), idColumns),
    visible(`${times}${call}${detail}`),
  ].join('  ');
  return `${line.trimEnd()}\n`;
}

/** A record as programs get it. */
function recordJson({ jobUuid, sequence, count, ...same }: AuditEntry): object {
  return { sequence: Number(sequence), ...same, job_uuid: jobUuid, count: Number(count) };
}

/** What a check found, for people. */
export function verdictText({ records, first, head, damages, damageCount }: AuditVerdict): string {
  const [last = '0'] = head.split(':');
  const read = `${records} records, ${first} to ${last}`;
  if (damageCount === 0n) {
    return `${read}: none was changed, removed or put in\nhead ${head}\n`;
  }
  const more = damageCount - BigInt(damages.length);
  const lines = damages.map(({ message }) => visible(message));
  if (more > 0n) lines.push(`and ${more} more`);
  return `${read}: NOT as they were written\n${lines.join('\n')}\n`;
}

function verdictJson({ records, first, head, damages, damageCount }: AuditVerdict): object {
  return {
    sound: damageCount === 0n,
    records: Number(records),
    first: Number(first),
    head,
    damages: damages.map(({ sequence, message }) => ({ sequence: Number(sequence), message })),
    damage_count: Number(damageCount),
  };
}
