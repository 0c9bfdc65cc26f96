// A chain of audit records that somebody has worked on: whatever was changed, taken out, put in or cut
// off, the check says so, and of what is untouched it says nothing.

import assert from 'node:assert/strict';
import {
  type Anchor,
  ChainCheck,
  formatAnchor,
  hashRecord,
  parseAnchor,
  START,
} from '../../../src/daemon/audit/chain.ts';
import type { AuditRecord, Content } from '../../../src/daemon/audit/record.ts';
import { target } from '../target.ts';

const RECORDS = 8;

function contentOf(at: number): Content {
  return {
    atMs: 1_900_000_000_000 + at,
    action: 'job.created',
    jobId: `job-${at}`,
    method: '',
    name: 'ann',
    role: 'developer',
    certificate: '0A',
    peer: '127.0.0.1:1',
    result: 'ok',
    detail: '',
    count: 1,
  };
}

const sound: readonly AuditRecord[] = (() => {
  const records: AuditRecord[] = [];
  for (let at = 1; at <= RECORDS; at++) {
    const before = records.at(-1)?.hash ?? START.hash;
    const content = contentOf(at);
    records.push({ ...content, sequence: at, hash: hashRecord(before, content) });
  }
  return records;
})();
const head: Anchor = sound.at(-1) ?? START;

/** Three bytes are one deed: what, at which record, with what. */
function tamper(input: Buffer): AuditRecord[] {
  let records = [...sound];
  for (let at = 0; at + 2 < input.length; at += 3) {
    const [what = 0, where = 0, value = 0] = input.subarray(at, at + 3);
    const index = where % Math.max(1, records.length);
    const record = records[index];
    if (record === undefined) break;
    const changed = [
      { ...record, detail: String(value) },
      { ...record, name: `eve${value}` },
      { ...record, hash: hashRecord(String(value), record) },
      { ...record, count: value },
      { ...record, sequence: value },
    ][what % 7];
    if (changed !== undefined) records = records.with(index, changed);
    else if (what % 7 === 5) records = records.toSpliced(index, 1 + (value % 3));
    else
      records = records.toSpliced(index, 0, {
        ...record,
        detail: 'put in',
        sequence: record.sequence,
      });
  }
  // The table has them by their numbers, each once.
  const byNumber = new Map(records.map((record) => [record.sequence, record]));
  return [...byNumber.values()].toSorted((a, b) => a.sequence - b.sequence);
}

export default target({
  maxBytes: 30,
  seeds: [
    '',
    [0, 3, 7],
    [5, 7, 0],
    [6, 2, 0],
    [5, 0, 1],
    [2, 4, 4],
    [4, 1, 9],
    [0, 3, 7, 2, 3, 1],
  ].map((bytes) => Buffer.from(bytes as number[])),
  words: [formatAnchor(head)],
  run(input) {
    const records = tamper(input);
    const check = new ChainCheck([{ anchor: head, by: 'the anchor' }]);
    for (const record of records) check.next(record);
    const { damageCount, damages } = check.end();
    const isTouched = JSON.stringify(records) !== JSON.stringify(sound);
    assert.equal(damageCount > 0, isTouched);
    assert.ok(damages.every(({ message }) => message.startsWith('record ')));
    const anchor = parseAnchor(input.toString());
    if (anchor !== undefined) assert.deepEqual(parseAnchor(formatAnchor(anchor)), anchor);
  },
});
