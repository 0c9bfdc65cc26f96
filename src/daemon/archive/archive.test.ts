// The archive against the loss of what it holds. With real jobs and a real store: test/archive.test.ts.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { Db } from '../store/db.ts';
import { Archive } from './archive.ts';
import { LocalObjects } from './local-objects.ts';
import { ArchiveRows } from './rows.ts';

const home = mkdtempSync(path.join(tmpdir(), 'joblet-archive-'));
const logs = path.join(home, 'logs');
const there = path.join(home, 'archive');
const db = new Db(path.join(home));

after(() => {
  db.close();
  rmSync(home, { recursive: true });
});

const addJob = db.prepare(
  `INSERT INTO jobs (id, name, status, spec, secrets, created_at_ms, queued_at_ms, start_at_ms,
     boot_id, ended_at_ms) VALUES (?, '', 'COMPLETED', '{}', '{}', 1, 1, 0, '', 2)`,
);

/** An archive that says when a job has come into it. */
function archiveThat(arrived: (line: string) => void): Archive {
  return new Archive({
    store: new LocalObjects(there),
    rows: new ArchiveRows(db),
    directoryOf: (id) => path.join(logs, id),
    recordOf: (id) => ({ id }),
    settle: async () => {},
    clock: { now: () => 1, at: () => () => {} },
    log: { debug: (line) => arrived(line), info() {}, warn: (line) => arrived(line) },
  });
}

test('what the archive has lost or changed is not taken for safe, and is brought again', async () => {
  const id = 'job-1';
  for (const made of [path.join(logs, id), there]) mkdirSync(made, { recursive: true });
  const name = `${'0'.repeat(20)}.log`;
  writeFileSync(path.join(logs, id, name), 'the output of a job');
  writeFileSync(path.join(logs, id, `${name}.zst.new`), 'half of it');
  await db.write(() => addJob.run(id));
  let arrived = Promise.withResolvers<string>();
  const archive = archiveThat((line) => arrived.resolve(line));
  archive.start();
  assert.equal(await arrived.promise, 'a job is in the archive');
  assert.deepEqual(
    archive.filesOf(id)?.map((file) => file.name),
    [name],
  );
  assert.equal(await archive.holds(id), true);
  const stored = path.join(there, id, name);
  for (const harm of [() => rmSync(stored), () => writeFileSync(stored, 'the output of a joc')]) {
    harm();
    const again = Promise.withResolvers<string>();
    arrived = Promise.withResolvers<string>();
    const warned = arrived;
    const held = archive.holds(id);
    assert.match(await warned.promise, /lacks something of a job/);
    arrived = again;
    assert.equal(await held, false);
    assert.equal(await again.promise, 'a job is in the archive');
    assert.equal(readFileSync(stored, 'utf8'), 'the output of a job');
    assert.equal(await archive.holds(id), true);
  }
  writeFileSync(stored, 'the output of a joc');
  const open = archive.open(id, name);
  await assert.rejects(
    open.read(Buffer.alloc(9), 0, 9, 0),
    /gives back something else than it was given/,
  );
  await archive.stop();
});

test('a job whose files were not there when it was brought, or are others now, is brought again', async () => {
  const id = 'job-2';
  const directory = path.join(logs, id);
  await db.write(() => addJob.run(id));
  let arrived = Promise.withResolvers<string>();
  const archive = archiveThat((line) => {
    if (line === 'a job is in the archive') arrived.resolve(line);
  });
  archive.start();
  await arrived.promise;
  for (const names of [['0.log'], ['0.log.zst', 'metrics.jsonl']]) {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
    const files = names.map((name) => name.replace(/^0/, '0'.repeat(20)));
    for (const name of files) writeFileSync(path.join(directory, name), name);
    arrived = Promise.withResolvers<string>();
    assert.equal(await archive.holds(id), false);
    await arrived.promise;
    assert.equal(await archive.holds(id), true);
    assert.deepEqual(
      readdirSync(path.join(there, id)).toSorted(),
      [...files, 'job.json'].toSorted(),
    );
  }
  await archive.stop();
});
