// A backup that was changed on its way: a changed byte and a lost end are always found, and said.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readBackup, sealBackup } from '../../../src/daemon/store/backup.ts';
import { Db } from '../../../src/daemon/store/db.ts';
import { orRefused, target } from '../target.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'joblet-fuzz-backup-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
const file = path.join(directory, 'tried');

/** The backup of an empty state. */
async function sample(): Promise<Buffer> {
  const db = new Db(path.join(directory));
  const copy = path.join(directory, 'copy');
  await db.copyTo(copy);
  await db.close();
  const sealed = path.join(directory, 'sealed');
  sealBackup(copy, sealed);
  return readFileSync(sealed);
}

const sound = await sample();

/** Four bytes are one change: where, in three, and what is added there; the first two cut the end off. */
function change(input: Buffer): Buffer {
  const bytes = Buffer.from(sound);
  const cut = input.length < 2 ? 0 : input.readUInt16BE(0);
  for (let at = 2; at + 3 < input.length; at += 4) {
    const place = input.readUIntBE(at, 3) % bytes.length;
    bytes[place] = (bytes[place] ?? 0) + (input[at + 3] ?? 0);
  }
  return bytes.subarray(0, Math.max(0, bytes.length - cut));
}

export default target({
  maxBytes: 42,
  seeds: [
    [0, 0],
    [0, 1],
    [16, 0],
    [0, 0, 0, 0, 20, 1],
    [0, 0, 0, 16, 100, 7],
    [0, 0, 0, 0, 31, 1, 0, 32, 0, 9],
  ].map((bytes) => Buffer.from(bytes)),
  run(input) {
    const bytes = change(input);
    writeFileSync(file, bytes);
    const facts = orRefused(() => readBackup(file), 'invalid', 'unavailable');
    assert.equal(facts !== undefined, bytes.equals(sound));
    if (facts !== undefined) assert.deepEqual([facts.jobs, facts.bytes], [0, sound.length]);
  },
});
