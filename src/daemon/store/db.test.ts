import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { Db } from './db.ts';

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
