// `joblet audit`: checks the audit log of a daemon that does not run.

import { existsSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { JobletError } from '../shared/errors.ts';
import { readAnchor } from './audit/anchor.ts';
import { formatAnchor, type Known, parseAnchor, type Verdict } from './audit/chain.ts';
import { AuditTable } from './audit/table.ts';
import { verify } from './audit/verify.ts';
import { readConfig } from './config.ts';
import { Db } from './store/db.ts';

const USAGE = `joblet audit checks the record of who did what.

Usage:
  joblet audit verify [--config FILE] [--expect HEAD] [STATE-DIRECTORY]

Says whether any record was changed, removed or put in, and whether the last ones were cut off. HEAD is
what an earlier check said and you kept elsewhere: the log must still lead to it. While a daemon runs
on the state, \`rnx audit --verify\` does the same.

Example:
  joblet audit verify /opt/joblet/state
`;

/** Runs `joblet audit ARGV`. The exit code: 0 is sound, 1 is not, 2 was called wrongly. */
export async function auditCommand(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      expect: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const [word, named, ...more] = positionals;
  if (values.help || word !== 'verify' || more.length > 0) {
    process[values.help ? 'stdout' : 'stderr'].write(USAGE);
    return values.help ? 0 : 2;
  }
  const directory = named ?? readConfig(values.config, process.env).values.state.path;
  if (!existsSync(path.join(directory, 'joblet.db'))) {
    throw new JobletError('not-found', `there is no state in ${directory}`, { about: directory });
  }
  const known: Known[] = [];
  const anchor = readAnchor(directory);
  if (anchor !== undefined) known.push({ anchor, by: 'audit.anchor' });
  if (values.expect !== undefined) known.push({ anchor: toAnchor(values.expect), by: 'who asks' });
  // Whoever checks changes nothing, and an older or a newer log is checked as well.
  const db = new Db(directory, {}, 'as it is');
  try {
    const verdict = await verify(new AuditTable(db), known, new AbortController().signal);
    process.stdout.write(describe(verdict, anchor !== undefined));
    return verdict.damageCount === 0 && anchor !== undefined ? 0 : 1;
  } finally {
    db.close();
  }
}

function toAnchor(text: string) {
  const anchor = parseAnchor(text);
  if (anchor !== undefined) return anchor;
  const message = '--expect: is no head of the log; an earlier check says one, as 1234:HASH';
  throw new JobletError('invalid', message);
}

function describe(verdict: Verdict, isAnchored: boolean): string {
  const { records, first, head, damages, damageCount } = verdict;
  const lines = damages.map(({ message }) => message);
  if (damageCount > damages.length) lines.push(`and ${damageCount - damages.length} more`);
  if (!isAnchored) {
    lines.push('audit.anchor is not there: whether the last records were cut off, nobody can say');
  }
  const read = `${records} records, ${first} to ${head.sequence}`;
  return lines.length === 0
    ? `${read}: none was changed, removed or put in\nhead ${formatAnchor(head)}\n`
    : `${read}: NOT as they were written\n${lines.join('\n')}\n`;
}
