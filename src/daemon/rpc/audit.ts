// AuditService: the audit log, for admins.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  AuditFilter as AuditFilterMessage,
  AuditRecordSchema,
  AuditService,
} from '../../gen/joblet/audit_pb.ts';
import { invalid, type Problem } from '../../shared/errors.ts';
import type { Audit } from '../audit/audit.ts';
import { type Anchor, formatAnchor, parseAnchor } from '../audit/chain.ts';
import { type AuditRecord, actions } from '../audit/record.ts';
import type { AuditFilter } from '../audit/table.ts';
import type { Handlers } from './handlers.ts';
import { parseRfc3339 } from './job-spec.ts';
import { rfc3339 } from './rfc3339.ts';

const PAGE_LIMIT = 1000;
const PAGE_DEFAULT = 100;
const MAX_WORD_CHARS = 256;

export function auditHandlers(
  audit: Pick<Audit, 'query' | 'read' | 'verify'>,
): Handlers<typeof AuditService> {
  return {
    queryAudit: async ({ filter, limit, pageToken }, { signal }) => {
      const problems: Problem[] = [];
      const wanted = toFilter(filter, problems);
      if (limit < 0 || limit > PAGE_LIMIT) {
        const message = `is from 1 to ${PAGE_LIMIT}; 0 takes ${PAGE_DEFAULT}`;
        problems.push({ field: 'limit', message });
      }
      if (!/^\d{0,15}$/.test(pageToken)) {
        problems.push({ field: 'page_token', message: 'is not what an earlier answer said' });
      }
      if (problems.length > 0) throw invalid(problems);
      // One more than asked for tells whether there is another page.
      const size = limit || PAGE_DEFAULT;
      const { records, head } = await audit.query(wanted, Number(pageToken), size + 1, signal);
      const page = records.slice(0, size);
      const last = records.length > size ? page.at(-1) : undefined;
      return {
        records: page.map(toMessage),
        nextPageToken: last === undefined ? '' : String(last.sequence),
        head: BigInt(head),
      };
    },

    followAudit: async function* ({ filter, after, noFollow }, { signal }) {
      const problems: Problem[] = [];
      const wanted = toFilter(filter, problems);
      const from = Number(after);
      if (!Number.isSafeInteger(from) || from < 0) {
        problems.push({ field: 'after', message: 'is not the number of a record' });
      }
      if (problems.length > 0) throw invalid(problems);
      for await (const record of audit.read(wanted, from, !noFollow, signal)) {
        yield toMessage(record);
      }
    },

    verifyAudit: async ({ expect }, { signal }) => {
      const { records, first, head, damages, damageCount } = await audit.verify(
        expect === '' ? undefined : toAnchor(expect),
        signal,
      );
      return {
        records: BigInt(records),
        first: BigInt(first),
        head: formatAnchor(head),
        damages: damages.map(({ sequence, message }) => ({ sequence: BigInt(sequence), message })),
        damageCount: BigInt(damageCount),
      };
    },
  };
}

function toFilter(filter: AuditFilterMessage | undefined, problems: Problem[]): AuditFilter {
  if (filter === undefined) return {};
  const { since, until, jobUuid, who, result } = filter;
  const time = (field: string, text: string) => {
    const atMs = text === '' ? undefined : parseRfc3339(text);
    if (text !== '' && atMs === undefined) {
      const message = 'is no time in RFC 3339; write it as 2030-01-31T12:00:00Z';
      problems.push({ field, message });
    }
    return atMs;
  };
  for (const [field, word] of Object.entries({ job_uuid: jobUuid, who, result })) {
    if (word.length > MAX_WORD_CHARS) {
      problems.push({ field, message: `has more than ${MAX_WORD_CHARS} characters` });
    }
  }
  const unknown = filter.actions.find((word) => !actions.some((action) => action === word));
  if (unknown !== undefined) {
    const shown = JSON.stringify(unknown.slice(0, 64));
    problems.push({
      field: 'actions',
      message: `${shown} is no action; there is ${actions.join(', ')}`,
    });
  }
  return {
    sinceMs: time('since', since),
    untilMs: time('until', until),
    jobId: jobUuid.toLowerCase(),
    who,
    result,
    actions: [...new Set(filter.actions)],
  };
}

function toAnchor(text: string): Anchor {
  const anchor = parseAnchor(text);
  if (anchor !== undefined) return anchor;
  const message = 'is no head of the log; it is a number, a colon and 64 hexadecimal digits';
  throw invalid([{ field: 'expect', message }]);
}

function toMessage({
  sequence,
  atMs,
  jobId,
  name,
  count,
  ...same
}: AuditRecord): MessageInitShape<typeof AuditRecordSchema> {
  return {
    ...same,
    sequence: BigInt(sequence),
    time: rfc3339(atMs),
    jobUuid: jobId,
    who: name,
    count: BigInt(count),
  };
}
