import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Anchor,
  ChainCheck,
  formatAnchor,
  hashRecord,
  parseAnchor,
  START,
  type Verdict,
} from './chain.ts';
import { type AuditRecord, contentOf, type Entry } from './record.ts';

const who = { name: 'ann', role: 'admin', certificate: '0A1B', peer: '127.0.0.1:1' };

/** Records one after the other, as they are written behind a place. */
function chainOf(count: number, behind: Anchor = START): AuditRecord[] {
  let last = behind;
  return Array.from({ length: count }, (_, at) => {
    const record = link(last, {
      atMs: 1000 + at,
      action: 'job.created',
      jobId: `job-${at}`,
      who,
      result: 'PENDING',
      detail: '/bin/true',
    });
    last = record;
    return record;
  });
}

function link({ sequence, hash }: Anchor, entry: Entry): AuditRecord {
  const content = contentOf(entry);
  return { ...content, sequence: sequence + 1, hash: hashRecord(hash, content) };
}

function check(records: readonly AuditRecord[], known: readonly Anchor[] = []): Verdict {
  const checking = new ChainCheck(known.map((anchor) => ({ anchor, by: 'the anchor' })));
  for (const record of records) checking.next(record);
  return checking.end();
}

function named(records: readonly AuditRecord[], known: readonly Anchor[] = []): string[] {
  return check(records, known).damages.map(({ message }) => message);
}

/** Gives the records numbers without gaps, as somebody would who covers up a change. */
function renumbered(records: readonly AuditRecord[]): AuditRecord[] {
  return records.map((record, at) => ({ ...record, sequence: at + 1 }));
}

test('a chain as it was written is sound, and says where it ends', () => {
  const records = chainOf(10);
  const { damageCount, head, first, records: count } = check(records, records.slice(3, 4));
  assert.equal(damageCount, 0);
  assert.deepEqual([count, first, head], [10, 1, { sequence: 10, hash: records[9]?.hash }]);
  assert.equal(check([]).damageCount, 0);
});

test('whichever field of whichever record is changed, that record is named', () => {
  const fields = Object.keys(chainOf(1)[0] ?? {}).filter((name) => name !== 'sequence');
  fc.assert(
    fc.property(fc.nat(9), fc.constantFrom(...fields), (at, field) => {
      const records = chainOf(10);
      const changed = records.map((record, place) =>
        place === at ? { ...record, [field]: field === 'atMs' ? 1 : '0'.repeat(64) } : record,
      );
      const { damages } = check(changed, records.slice(-1));
      assert.ok(damages.some(({ sequence }) => sequence === at + 1));
    }),
  );
});

test('a changed record is named alone where its hash still stands', () => {
  const records = chainOf(5);
  const changed = records.with(2, { ...(records[2] as AuditRecord), name: 'eve' });
  assert.deepEqual(named(changed), ['record 3 is not what was written']);
  const last = records.with(4, { ...(records[4] as AuditRecord), name: 'eve' });
  assert.deepEqual(named(last), [
    'record 5 does not follow on the one before it: it was changed, or put in',
  ]);
});

test('removed records are named, whether or not the rest is given new numbers', () => {
  const records = chainOf(10);
  assert.deepEqual(named(records.toSpliced(3, 1)), ['record 4 is missing']);
  assert.deepEqual(named(records.toSpliced(3, 3)), ['record 4 and those up to 6 are missing']);
  assert.deepEqual(named(records.toSpliced(0, 2)), ['record 1 and those up to 2 are missing']);
  assert.deepEqual(named(renumbered(records.toSpliced(3, 1))), [
    'record 4 is not what was written',
  ]);
});

test('a record that was put in is named, whether or not the rest is given new numbers', () => {
  const records = chainOf(6);
  const forged = { ...(chainOf(1)[0] as AuditRecord), name: 'eve', hash: 'f'.repeat(64) };
  assert.deepEqual(named(renumbered(records.toSpliced(3, 0, forged))), [
    'record 4 was put in: the one after it follows on the one before it',
  ]);
  assert.deepEqual(named([...records, { ...forged, sequence: 7 }]), [
    'record 7 does not follow on the one before it: it was changed, or put in',
  ]);
});

test('a tail that was cut off is named by whoever knows of it, also after the log went on', () => {
  const records = chainOf(10);
  const known = records.slice(9);
  const rest = records.slice(0, 7);
  assert.deepEqual(named(rest, known), [
    'record 8 and those up to 10 are cut off: the anchor knows them',
  ]);
  const next = link(rest[6] as AuditRecord, { atMs: 1, action: 'daemon.start', result: 'ok' });
  assert.deepEqual(named([...rest, { ...next, sequence: 11 }]), [
    'record 8 and those up to 10 are missing: they were cut off before the log went on',
  ]);
});

test('a log that was written anew is sound by itself, and another one to who knows a place in it', () => {
  const records = chainOf(10);
  const anew = chainOf(12).map((record) => ({ ...record, name: 'eve' }));
  let last = START;
  for (const [at, record] of anew.entries()) {
    anew[at] = { ...record, hash: hashRecord(last.hash, record) };
    last = anew[at] as AuditRecord;
  }
  assert.deepEqual(named(anew), []);
  assert.deepEqual(named(anew, records.slice(7, 8)), [
    'record 8 is not the record that the anchor knows: the log was written anew',
  ]);
});

test('a chain whose oldest records were pruned is sound, and shows when more is gone', () => {
  const records = chainOf(10);
  const [through] = records.slice(4, 5) as [AuditRecord];
  const pruned = link(records[9] as AuditRecord, {
    atMs: 1,
    action: 'audit.pruned',
    result: 'ok',
    detail: formatAnchor(through),
  });
  assert.deepEqual(named([...records.slice(5), pruned]), []);
  assert.deepEqual(named([...records.slice(6), pruned]), ['record 6 is missing']);
  assert.deepEqual(named([...records.slice(4), pruned]), [
    'record 5 was put in: everything before 6 had been pruned',
  ]);
  assert.deepEqual(named([...records.slice(5), pruned], records.slice(1, 2)), [
    'record 2 is no longer kept, so what the anchor knows cannot be compared',
  ]);
});

test('damages are listed up to a bound, and all are counted', () => {
  const records = chainOf(1000).map((record) => ({ ...record, hash: 'f'.repeat(64) }));
  const { damages, damageCount } = check(records);
  assert.equal(damages.length, 100);
  assert.ok(damageCount >= 1000);
});

test('an anchor is read as it was written, and nothing else is one', () => {
  const anchor = { sequence: 123, hash: 'ab'.repeat(32) };
  assert.deepEqual(parseAnchor(`${formatAnchor(anchor)}  \n`), anchor);
  for (const text of ['', '1', '1:ab', `-1:${anchor.hash}`, `${anchor.hash}:1`]) {
    assert.equal(parseAnchor(text), undefined);
  }
});
