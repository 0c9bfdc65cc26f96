// SQLite's log of writes as a crash or a disk may leave it: whatever stands in it, an answer comes, and
// of a log that SQLite wrote, a changed byte in the middle is never taken for a torn tail.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { readWal } from '../../../src/daemon/store/wal.ts';
import { target } from '../target.ts';

/** A log of three transactions, in pages as small as they can be. */
function sample(): Buffer {
  const directory = mkdtempSync(path.join(tmpdir(), 'joblet-fuzz-wal-'));
  try {
    const file = path.join(directory, 'db');
    const db = new DatabaseSync(file);
    db.exec('PRAGMA page_size = 512; PRAGMA journal_mode = WAL; CREATE TABLE t (a);');
    for (const text of ['one', 'two']) db.prepare('INSERT INTO t VALUES (?)').run(text);
    const bytes = readFileSync(`${file}-wal`);
    db.close();
    return bytes;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const sound = sample();
const FRAME_BYTES = 24 + 512;

export default target({
  seeds: [sound, sound.subarray(0, -100), Buffer.alloc(40), sound.subarray(0, 33)],
  maxBytes: sound.length + FRAME_BYTES,
  run(input) {
    const { ignoredBytes, damagedAt } = readWal(input);
    assert.ok(ignoredBytes >= 0 && ignoredBytes <= input.length);
    assert.ok(damagedAt === undefined || (damagedAt >= 0 && damagedAt < input.length));
    if (input.equals(sound)) assert.deepEqual([ignoredBytes, damagedAt], [0, undefined]);
    // One byte of the second frame, with whole ones behind it.
    const at = 32 + FRAME_BYTES + (((input[0] ?? 0) * 256 + (input[1] ?? 0)) % FRAME_BYTES);
    const changed = Buffer.from(sound);
    changed[at] = (changed[at] ?? 0) ^ ((input[2] ?? 0) || 1);
    assert.notEqual(readWal(changed).damagedAt, undefined, `a change at ${at}`);
  },
});
