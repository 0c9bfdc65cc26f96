import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs, {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { Db } from './db.ts';
import { readWal } from './wal.ts';

const original = fs.fdatasync;

function makeDirectory(t: TestContext): string {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'joblet-db-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

test('what was committed is there after closing and opening again', async (t) => {
  const directory = makeDirectory(t);
  const db = new Db(directory);
  db.prepare('CREATE TABLE notes (text TEXT)').run();
  const insert = db.prepare("INSERT INTO notes VALUES ('x')");
  void db.write(() => insert.run());
  await Promise.all([db.durable(), db.durable(), db.durable()]);
  db.close();
  const again = new Db(directory);
  assert.equal(again.prepare('SELECT count(*) AS n FROM notes').get()?.['n'], 1);
  again.close();
});

test('what is written together is kept together or not at all', async (t) => {
  const db = new Db(makeDirectory(t));
  db.prepare('CREATE TABLE notes (text TEXT)').run();
  const insert = db.prepare("INSERT INTO notes VALUES ('x')");
  const count = () => db.prepare('SELECT count(*) AS n FROM notes').get()?.['n'];
  const first = db.write(() => insert.run());
  const second = db.write(() => {
    insert.run();
    throw new Error('no');
  });
  await assert.rejects(first, /no/);
  await assert.rejects(second, /no/);
  assert.equal(count(), 0);
  await Promise.all([db.write(() => insert.run()), db.write(() => insert.run())]);
  assert.equal(count(), 2);
  db.close();
});

test('the state is readable by its owner only', (t) => {
  const directory = makeDirectory(t);
  const db = new Db(directory);
  for (const file of ['joblet.db', 'joblet.db-wal']) {
    assert.equal(statSync(path.join(directory, file)).mode & 0o077, 0, file);
  }
  db.close();
});

test('a second daemon on the same state is refused and told why', (t) => {
  const directory = makeDirectory(t);
  const db = new Db(directory);
  assert.throws(() => new Db(directory), {
    kind: 'unavailable',
    message: /another daemon already runs on/,
  });
  db.close();
});

test('a newer schema is refused, a damaged file is named, neither is overwritten', (t) => {
  const newer = makeDirectory(t);
  new Db(newer).close();
  const raw = new DatabaseSync(path.join(newer, 'joblet.db'));
  raw.exec('PRAGMA user_version = 999');
  raw.close();
  assert.throws(() => new Db(newer), { kind: 'unavailable', message: /newer joblet/ });

  const damaged = makeDirectory(t);
  writeFileSync(
    path.join(damaged, 'joblet.db'),
    'this is no database, and long enough to say so'.repeat(50),
  );
  assert.throws(() => new Db(damaged), { kind: 'unavailable', message: /cannot be used/ });
});

/** Some notes, each in a transaction of its own. */
async function fill(db: Db, notes: number): Promise<void> {
  db.prepare('CREATE TABLE notes (number INTEGER PRIMARY KEY, text TEXT UNIQUE)').run();
  const insert = db.prepare('INSERT INTO notes VALUES (?, ?)');
  for (let at = 0; at < notes; at += 1) await db.write(() => insert.run(at, `note ${at}`));
}

function countNotes(db: Db): number {
  return Number(db.prepare('SELECT count(*) AS n FROM notes').get()?.['n']);
}

/** The files of a database as they are now, as a killed daemon would leave them. */
function copyState(t: TestContext, directory: string): string {
  const copy = makeDirectory(t);
  cpSync(directory, copy, { recursive: true });
  return copy;
}

function flip(file: string, at: number): void {
  const bytes = readFileSync(file);
  bytes[at] = (bytes[at] ?? 0) ^ 0x10;
  writeFileSync(file, bytes);
}

test('a changed bit in any page of the database is found at start', async (t) => {
  const directory = makeDirectory(t);
  const db = new Db(directory);
  await fill(db, 300);
  db.close();
  const file = path.join(directory, 'joblet.db');
  const pages = statSync(file).size / 4096;
  assert.ok(pages > 5);
  for (let page = 0; page < pages; page += 1) {
    const copy = copyState(t, directory);
    // Another place in each page, its checksum's among them.
    flip(path.join(copy, 'joblet.db'), page * 4096 + ((page * 1361 + 4090) % 4096));
    assert.throws(() => new Db(copy), { kind: 'unavailable', message: /damaged/ }, `page ${page}`);
  }
});

test('a changed bit that shows only while the daemon runs is an error, never a value', async (t) => {
  const directory = makeDirectory(t);
  const db = new Db(directory);
  // More than SQLite keeps in its memory.
  db.prepare('CREATE TABLE notes (text TEXT)').run();
  const insert = db.prepare('INSERT INTO notes VALUES (?)');
  await db.write(() => {
    for (let at = 0; at < 4000; at += 1) insert.run('j'.repeat(2000));
  });
  db.close();
  const again = new Db(directory);
  flip(path.join(directory, 'joblet.db'), 100 * 4096 + 2000);
  const sum = again.prepare('SELECT sum(length(text)) AS n FROM notes');
  assert.throws(() => sum.get(), { kind: 'unavailable', message: /its checksum differs/ });
  again.close();
});

test('a torn tail of the WAL costs the tail, and is noticed', async (t) => {
  const directory = makeDirectory(t);
  const db = new Db(directory);
  await fill(db, 50);
  const copy = copyState(t, directory);
  db.close();
  const wal = path.join(copy, 'joblet.db-wal');
  const end = endOfFrames(wal);
  flip(wal, end - 1);
  const noticed: string[] = [];
  const torn = new Db(copy, { noticed: (what) => noticed.push(what) });
  assert.equal(countNotes(torn), 49);
  assert.match(noticed.join(), /the last \d+ bytes of .*joblet.db-wal were not written whole/);
  torn.close();
});

test('a changed bit in the middle of the WAL is damage, not a tail', async (t) => {
  const directory = makeDirectory(t);
  const db = new Db(directory);
  await fill(db, 50);
  const crashed = copyState(t, directory);
  db.close();
  const end = endOfFrames(path.join(crashed, 'joblet.db-wal'));
  const wal = path.join(crashed, 'joblet.db-wal');
  const bytes = readFileSync(wal).subarray(0, end + 4120);
  // From the header of the log on, through headers and pages of frames, up to the last but one.
  for (let at = 0; at < end - 2 * 4120; at += 307) {
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
    assert.notEqual(readWal(bytes).damagedAt, undefined, `byte ${at}`);
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
  }
  // Where the header says how big a page is.
  for (let bit = 0; bit < 32; bit++) {
    const changed = Buffer.from(bytes);
    changed.writeUInt32BE((changed.readUInt32BE(8) ^ (1 << bit)) >>> 0, 8);
    assert.equal(readWal(changed).damagedAt, 0, `bit ${bit} of the size of a page`);
  }
  flip(wal, 5000);
  assert.throws(() => new Db(crashed), { kind: 'unavailable', message: /damaged/ });
});

test('a WAL that was used twice is no damage', async (t) => {
  const directory = makeDirectory(t);
  const db = new Db(directory);
  // More than one round: what stands behind the newest frame is of the round before.
  await fill(db, 1500);
  const copy = copyState(t, directory);
  db.close();
  const bytes = readFileSync(path.join(copy, 'joblet.db-wal'));
  assert.deepEqual(readWal(bytes), { ignoredBytes: 0, damagedAt: undefined });
  const again = new Db(copy);
  assert.equal(countNotes(again), 1500);
  again.close();
});

test('a WAL that is gone after a crash is missed, and after a clean stop is not', async (t) => {
  const directory = makeDirectory(t);
  const db = new Db(directory);
  await fill(db, 3);
  const crashed = copyState(t, directory);
  db.close();
  rmSync(path.join(crashed, 'joblet.db-wal'));
  assert.throws(() => new Db(crashed), { message: /joblet.db-wal is missing/ });
  const clean = new Db(directory);
  assert.equal(countNotes(clean), 3);
  clean.close();
  assert.equal(existsSync(path.join(directory, 'joblet.db-wal')), false);
});

test('a copy has the checksums of its own, however big it is', async (t) => {
  const directory = makeDirectory(t);
  const db = new Db(directory);
  db.prepare('CREATE TABLE notes (text TEXT)').run();
  const insert = db.prepare('INSERT INTO notes VALUES (?)');
  // More than SQLite keeps in its memory, and newer than the last checkpoint.
  const written = db.write(() => {
    for (let at = 0; at < 4000; at += 1) insert.run('j'.repeat(2000));
  });
  await written;
  const copy = makeDirectory(t);
  const copied = db.copyTo(path.join(copy, 'joblet.db'));
  // It is written on meanwhile.
  for (let at = 0; at < 50; at += 1) await db.write(() => insert.run('k'));
  await copied;
  db.close();
  const opened = new Db(copy);
  const count = Number(opened.prepare('SELECT count(*) AS n FROM notes').get()?.['n']);
  assert.ok(count >= 4000 && count <= 4050, `${count}`);
  opened.close();
});

test('a database without checksums gets them, and loses nothing', (t) => {
  const directory = makeDirectory(t);
  // A process of its own, since this one's SQLite puts checksums into whatever it makes.
  const program = `
    const db = new (require('node:sqlite').DatabaseSync)(process.argv[1]);
    db.exec(require('node:fs').readFileSync(process.argv[2], 'utf8'));
    db.exec("PRAGMA user_version = 1; CREATE TABLE notes (text); INSERT INTO notes VALUES ('kept')");`;
  const file = path.join(directory, 'joblet.db');
  const schema = path.join(import.meta.dirname, 'migrations/0001-jobs.sql');
  execFileSync(process.execPath, ['-e', program, file, schema]);
  assert.equal(readFileSync(file)[20], 0);
  const db = new Db(directory);
  assert.equal(db.prepare('SELECT text FROM notes').get()?.['text'], 'kept');
  db.close();
  assert.equal(readFileSync(file)[20], 8);
  flip(file, 4096 + 4000);
  assert.throws(() => new Db(directory), { message: /damaged/ });
});

test('a flush that failed is not believed when it is repeated', async (t) => {
  const directory = makeDirectory(t);
  const said: string[] = [];
  const db = new Db(directory, {
    failed: (why) => said.push(why),
    recovered: () => said.push('recovered'),
  });
  await fill(db, 3);
  t.mock.method(fs, 'fdatasync', (_fd: number, done: (error: Error | null) => void) => {
    fs.fdatasync = original;
    syncBuiltinESMExports();
    done(Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' }));
  });
  syncBuiltinESMExports();
  await assert.rejects(db.durable(), { kind: 'unavailable', message: /failed \(EIO/ });
  await db.durable();
  assert.match(said.join(' | '), /failed \(EIO.*\| recovered$/);
  // The kernel may have dropped the WAL's pages: everything stands in the database itself by now.
  const copy = makeDirectory(t);
  cpSync(path.join(directory, 'joblet.db'), path.join(copy, 'joblet.db'));
  const opened = new Db(copy);
  assert.equal(countNotes(opened), 3);
  opened.close();
  db.close();
});

/** Where the frames of a log end; what follows is room. */
function endOfFrames(wal: string): number {
  const bytes = readFileSync(wal);
  let end = 32;
  while (end + 4120 <= bytes.length && bytes.readUInt32BE(end) !== 0) end += 4120;
  return end;
}
