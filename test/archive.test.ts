// Objects and ended jobs in a real S3 store: each is there once and whole, whatever happened on the way.

import './own-host.ts';
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { generated } from '../src/client/generated.ts';
import type { LogRequest } from '../src/client/messages.ts';
import { deleteJob, queryJobs, sendJobInput } from '../src/client/methods.ts';
import { type Source, sourceOf } from '../src/daemon/archive/objects.ts';
import type { ArchivedFile } from '../src/daemon/archive/rows.ts';
import { S3Objects } from '../src/daemon/archive/s3-objects.ts';
import { PersistService } from '../src/gen/joblet/persist/persist_pb.ts';
import { Wire } from './cut-off.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, finish, output, printed, shell, start } from './job-calls.ts';
import { cannotStore, S3_KEYS, S3Server } from './s3-server.ts';
import { get } from './web-client.ts';

const skip = cannotRun() || cannotStore();
/** How often the daemon is killed in the middle of an upload. */
const ROUNDS = Number(process.env['JOBLET_ARCHIVE_ROUNDS'] ?? 1);
const BIG_BYTES = 17 << 20;
/** An object that is bigger than one and a half of them is sent in parts. */
const PART_BYTES = 8 << 20;
const SEGMENT_BYTES = 64 * 1024;
/** A segment ends with the record that fills it: what may be sent again, with the requests around it. */
const ONCE_MORE_BYTES = SEGMENT_BYTES + 280_000;
const { signal } = new AbortController();
const queryLogs = generated(PersistService.method.queryLogs);
const queryMetrics = generated(PersistService.method.queryMetrics);

const server = new S3Server();
const wire = new Wire(() => Number(server.endpoint.port));
const objects = new S3Objects(server.connection(), 'node/');
let home = '';
let endpoint = '';
let daemon: Daemon;

before(async () => {
  if (skip !== false) return;
  home = mkdtempSync(path.join(tmpdir(), 'joblet-archive-'));
  const credentialsFile = path.join(home, 'credentials');
  const { accessKeyId, secretAccessKey } = S3_KEYS;
  const text = `[default]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`;
  writeFileSync(credentialsFile, text, { mode: 0o600 });
  await server.start();
  endpoint = (await wire.open()).origin;
  daemon = await startDaemon({
    archive: { type: 's3', endpoint, bucket: server.bucket, prefix: 'node/', credentialsFile },
    logging: { level: 'DEBUG' },
    web: { enabled: true, port: 0 },
    logs: { segmentBytes: '64MB', directory: path.join(home, 'logs') },
  });
});

after(async () => {
  await daemon?.stop();
  await wire.close();
  await server.stop();
  if (home !== '') rmSync(home, { recursive: true, force: true });
});

async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

async function keysOf(store: S3Objects, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix, signal)) keys.push(key);
  return keys;
}

/** All objects of a job, by name. */
async function archivedOf(id: string, store = objects): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for await (const { key, bytes } of store.list(`${id}/`, signal)) {
    found.set(key.slice(id.length + 1), await bytesOf(store.get(key, 0, bytes, signal)));
  }
  return found;
}

/** The files of a job on the node's own disk, by name. */
function localOf(id: string): Map<string, Buffer> {
  const directory = path.join(home, 'logs', id);
  const names = readdirSync(directory).toSorted();
  return new Map(names.map((name) => [name, readFileSync(path.join(directory, name))]));
}

/** A daemon with small segments, which are sealed at once. */
function startSmall(prefix: string): Promise<Daemon> {
  const credentialsFile = path.join(home, 'credentials');
  return startDaemon({
    archive: { type: 's3', endpoint, bucket: server.bucket, prefix, credentialsFile },
    logging: { level: 'DEBUG' },
    logs: { segmentBytes: SEGMENT_BYTES, sealAfter: '100ms' },
  });
}

async function samplesOf(of: Daemon, jobId: string): Promise<unknown[]> {
  const samples: unknown[] = [];
  for await (const each of of.as('viewer').serverStream(queryMetrics, { jobId }))
    samples.push(each);
  return samples;
}

const isArchived = (id: string) => daemon.logged(new RegExp(`in the archive.*${id}`));

/** Runs a job until it is in the archive. */
async function archive(script: string): Promise<string> {
  const archived = daemon.logged(/a job is in the archive/);
  const { job } = await finish(daemon.as('developer'), shell(script));
  await archived;
  return job.uuid;
}

/** The archive has of a job exactly what the node has, and the record that says so. */
async function assertWhole(id: string): Promise<void> {
  const found = await archivedOf(id);
  const record = JSON.parse(String(found.get('job.json')));
  found.delete('job.json');
  const local = localOf(id);
  assert.deepEqual([...found.keys()], [...local.keys()]);
  for (const [name, content] of local) assert.ok(found.get(name)?.equals(content), name);
  assert.deepEqual(record.files, filesOf(local));
}

/** Files as the record of a job names them. */
function filesOf(contents: ReadonlyMap<string, Buffer>): ArchivedFile[] {
  return [...contents].map(([name, content]) => ({
    name,
    bytes: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
  }));
}

async function scrape(): Promise<string> {
  return (await get(daemon, 'viewer', '/metrics')).body;
}

async function unfinished(): Promise<number> {
  const query = { uploads: '', prefix: 'node/' };
  const text = await server.connection().text({ method: 'GET', key: '', query, signal });
  return text.split('<Upload>').length - 1;
}

test('an object comes back byte for byte, whole and in part, is listed, and is gone when deleted', {
  skip,
}, async () => {
  const store = new S3Objects(server.connection(), 'objects/a/');
  const content = randomBytes(100_000);
  await store.put("job/odd name +&%'.log", sourceOf(content), signal);
  await store.put('job/empty', sourceOf(Buffer.alloc(0)), signal);
  await store.put('jobs', sourceOf(Buffer.from('x')), signal);
  const key = "job/odd name +&%'.log";
  assert.ok((await bytesOf(store.get(key, 0, content.length, signal))).equals(content));
  const part = await bytesOf(store.get(key, 1000, 70_000, signal));
  assert.ok(part.equals(content.subarray(1000, 70_000)));
  assert.deepEqual((await keysOf(store, 'job/')).toSorted(), ['job/empty', key]);
  for (const stored of await keysOf(store, '')) await store.delete(stored, signal);
  await store.delete(key, signal);
  assert.deepEqual(await keysOf(store, ''), []);
  await assert.rejects(bytesOf(store.get(key, 0, 1, signal)), /404 NoSuchKey/);
});

test('a big object that was cut off goes on where it was, and leaves nothing unfinished', {
  skip,
}, async () => {
  const store = new S3Objects(server.connection(), 'big/');
  const content = randomBytes(20 << 20);
  const cut = new AbortController();
  let largest = 0;
  const source: Source = {
    bytes: content.length,
    sha256: '',
    read: async (into, offset) => {
      if (offset > PART_BYTES) cut.abort();
      largest = Math.max(largest, into.length);
      content.copy(into, 0, offset);
    },
  };
  await assert.rejects(store.put('a.log', source, cut.signal), /abort/);
  assert.deepEqual(await keysOf(store, ''), [], 'nothing is there before it is whole');
  const sent: string[] = [];
  const connection = server.connection();
  const send = connection.send.bind(connection);
  const find = connection.find.bind(connection);
  connection.find = (request) => {
    if (request.method === 'PUT') sent.push(request.query?.['partNumber'] ?? '');
    return find(request);
  };
  connection.send = send;
  const again = new S3Objects(connection, 'big/');
  await again.put('a.log', sourceOf(content), signal);
  assert.deepEqual(sent, ['2', '3'], 'what was there was not sent again');
  assert.ok(largest <= 256 * 1024, 'a piece is in memory at a time');
  assert.ok((await bytesOf(again.get('a.log', 0, content.length, signal))).equals(content));
  await again.discardUnfinished('', signal);
});

test('a try that is given up leaves nothing', { skip }, async () => {
  const store = new S3Objects(server.connection(), 'left/');
  const cut = new AbortController();
  const source: Source = {
    bytes: 13 << 20,
    sha256: '',
    read: async (into, offset) => {
      if (offset > PART_BYTES) cut.abort();
      into.fill(0);
    },
  };
  await assert.rejects(store.put('a', source, cut.signal));
  const count = async () => {
    const query = { uploads: '', prefix: 'left/' };
    const text = await server.connection().text({ method: 'GET', key: '', query, signal });
    return text.split('<Upload>').length - 1;
  };
  assert.equal(await count(), 1);
  await store.discardUnfinished('a', signal);
  assert.equal(await count(), 0);
});

test('a store that knows the keys otherwise says so, and no key is in what is said', {
  skip,
}, async () => {
  const keys = { ...S3_KEYS, secretAccessKey: 'another-secret-key' };
  const store = new S3Objects(server.connection(keys), '');
  await assert.rejects(store.put('a', sourceOf(Buffer.from('x')), signal), (error: Error) => {
    assert.match(error.message, /answers 403 SignatureDoesNotMatch/);
    assert.doesNotMatch(`${error.message}${JSON.stringify(error)}`, /another-secret|JOBLETTEST/);
    return true;
  });
});

test('an ended job is in the archive with its log and what is known of its end, and no secret (S3-16, S3-21)', {
  skip,
}, async () => {
  const archived = daemon.logged(/a job is in the archive/);
  const request = shell('echo out; echo err >&2; exit 3', {
    name: 'archived',
    secretEnvironment: { TOKEN: 'a-secret-of-the-job' },
  });
  const { job } = await finish(daemon.as('developer'), request);
  await archived;
  await assertWhole(job.uuid);
  const text = String((await archivedOf(job.uuid)).get('job.json'));
  const record = JSON.parse(text);
  assert.equal(record.id, job.uuid);
  assert.equal(record.node, 'test-node');
  assert.equal(record.status, 'FAILED');
  assert.equal(record.exitCode, 3);
  assert.equal(record.endedAt.slice(0, 19), job.endTime.slice(0, 19));
  assert.doesNotMatch(text, /a-secret-of-the-job/);
  assert.doesNotMatch(daemon.log(), new RegExp(S3_KEYS.secretAccessKey));
});

test('a daemon that is killed in the middle of uploads brings each job once, and goes on where it was', {
  skip,
}, async () => {
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = wire.sentBytes;
    const reached = wire.sent((((round + 1) % 3) + 0.5) * (BIG_BYTES / 3));
    const id = await start(daemon.as('developer'), shell(`head -c ${BIG_BYTES} /dev/urandom`));
    await reached;
    await daemon.kill();
    const archived = isArchived(id);
    await daemon.restart();
    await archived;
    await assertWhole(id);
    // Of three parts at most the one under way is sent again.
    const sent = wire.sentBytes - before;
    assert.ok(sent < BIG_BYTES + (9 << 20), `${sent} bytes were sent`);
  }
  assert.equal(await unfinished(), 0);
});

test('a store that is away holds up no job, is said once for each try, and has all of them in the end', {
  skip,
}, async () => {
  wire.cut();
  const warned = daemon.logged(/\[WARN\] the archive cannot be used/);
  const ids: string[] = [];
  for (let count = 0; count < 5; count += 1) {
    const { job } = await finish(daemon.as('developer'), shell(`echo ${count}`));
    assert.equal(job.status, 'COMPLETED');
    ids.push(job.uuid);
  }
  await warned;
  assert.match(await scrape(), /^joblet_archive_usable 0$/m);
  assert.match(await scrape(), /^joblet_archive_waiting_jobs [1-9]$/m);
  const archived = Promise.all(ids.map(isArchived));
  wire.mend();
  await archived;
  assert.match(daemon.log(), /\[INFO\] the archive can be used again/);
  for (const id of ids) await assertWhole(id);
  assert.match(await scrape(), /^joblet_archive_usable 1$/m);
});

test('keys that are readable by others are not used', { skip }, async () => {
  const file = path.join(home, 'credentials');
  chmodSync(file, 0o644);
  const warned = daemon.logged(
    /\[WARN\] the archive cannot be used.*others may read it; chmod 600 it/,
  );
  const { job } = await finish(daemon.as('developer'), shell('true'));
  await warned;
  const archived = isArchived(job.uuid);
  chmodSync(file, 0o600);
  await archived;
});

test('a deleted job is deleted in the archive, also when the daemon or the store was away', {
  skip,
}, async () => {
  const [first, second] = [await archive('echo 1'), await archive('echo 2')];
  const admin = daemon.as('admin');
  const gone = daemon.logged(new RegExp(`out of the archive.*${first}`));
  await admin.unary(deleteJob, { uuid: first });
  await gone;
  assert.equal((await archivedOf(first)).size, 0);
  wire.cut();
  const warned = daemon.logged(/\[WARN\] the archive cannot be used/);
  await admin.unary(deleteJob, { uuid: second });
  await warned;
  await daemon.kill();
  wire.mend();
  const goneToo = daemon.logged(new RegExp(`out of the archive.*${second}`));
  await daemon.restart();
  await goneToo;
  assert.equal((await archivedOf(second)).size, 0);
});

test('what is complete of the log of a running job is in the archive once, whatever is killed, and is read from there, as are its samples', {
  skip,
}, async (t) => {
  const own = await startSmall('running/');
  t.after(() => own.stop());
  const store = new S3Objects(server.connection(), 'running/');
  const noise = 'head -c 1000000 /dev/urandom';
  const begun = wire.sentBytes;
  const reached = wire.sent(400_000);
  const script = `${noise}; echo; echo half; read line; ${noise}; echo; echo $line`;
  const uuid = await start(own.as('developer'), shell(script, { stdin: true }));
  await printed(own.as('viewer'), uuid, 'half\n');
  await reached;
  await own.kill();
  const directory = path.join(own.directory, 'logs', uuid);
  const [complete = ''] = readdirSync(directory).toSorted().slice(-2);
  const brought = own.logged(new RegExp(`a part of the log.*${path.parse(complete).name}`));
  await own.restart();
  await brought;
  const half = await output(own.as('viewer'), { uuid, noFollow: true });
  assert.equal(half.length, 1_000_006);
  assert.ok(wire.sentBytes - begun < half.length + ONCE_MORE_BYTES, 'nothing was sent again');
  // A sample is made for whoever asks.
  await samplesOf(own, uuid);
  const early = await archivedOf(uuid, store);
  // The disk loses what the archive has: readers do not see that, also those who follow.
  for (const name of readdirSync(directory)) {
    if (name.endsWith('.zst')) rmSync(path.join(directory, name));
  }
  assert.ok((await output(own.as('viewer'), { uuid, noFollow: true })).equals(half));
  const tail = await output(own.as('viewer'), { uuid, noFollow: true, position: 100_000n });
  assert.ok(tail.equals(half.subarray(100_000)));
  const followed = output(own.as('viewer'), { uuid });
  const archived = own.logged(new RegExp(`a job is in the archive.*${uuid}`));
  const data = Buffer.from('over\n');
  await own.as('developer').clientStream(sendJobInput, [{ uuid, data, end: true }]);
  const { job } = await ended(own.as('viewer'), uuid);
  assert.equal(job.status, 'COMPLETED');
  const whole = await followed;
  assert.equal(whole.length, half.length + 1_000_006);
  assert.ok(whole.subarray(0, half.length).equals(half));
  await archived;
  assert.ok(wire.sentBytes - begun < whole.length + ONCE_MORE_BYTES, 'nothing was sent again');
  assert.ok((await output(own.as('viewer'), { uuid })).equals(whole));
  const all = await archivedOf(uuid, store);
  for (const [name, content] of early) assert.ok(all.get(name)?.equals(content), name);
  const record = JSON.parse(String(all.get('job.json')));
  all.delete('job.json');
  assert.deepEqual(record.files, filesOf(all));
  assert.ok(all.has('metrics.jsonl'));
  const samples = await samplesOf(own, uuid);
  assert.ok(samples.length >= 3);
  rmSync(directory, { recursive: true });
  assert.deepEqual(await samplesOf(own, uuid), samples);
  assert.ok((await output(own.as('viewer'), { uuid })).equals(whole));
  const gone = own.logged(new RegExp(`out of the archive.*${uuid}`));
  await own.as('admin').unary(deleteJob, { uuid });
  await gone;
  assert.deepEqual(await keysOf(store, `${uuid}/`), []);
});

test('a job that is deleted while it is uploaded leaves nothing in the archive', {
  skip,
}, async () => {
  const reached = wire.sent(BIG_BYTES / 2);
  const id = await start(daemon.as('developer'), shell(`head -c ${BIG_BYTES} /dev/urandom`));
  await reached;
  const gone = daemon.logged(new RegExp(`out of the archive.*${id}`));
  await daemon.as('admin').unary(deleteJob, { uuid: id });
  await gone;
  assert.equal((await archivedOf(id)).size, 0);
  assert.equal(await unfinished(), 0);
});

test('the archive has exactly the jobs that are there, whenever daemons are killed and jobs deleted', {
  skip,
}, async () => {
  for (let round = 0; round < ROUNDS; round += 1) {
    // The three that stay are some 2 kB each.
    const reached = wire.sent(1000 * ((round % 6) + 1));
    for (let count = 0; count < 6; count += 1) {
      const { job } = await finish(daemon.as('developer'), shell(`echo ${count}`));
      if (count % 2 === 1) await daemon.as('admin').unary(deleteJob, { uuid: job.uuid });
    }
    await reached;
    await daemon.kill();
    await daemon.restart();
  }
  const { job } = await finish(daemon.as('developer'), shell('true'));
  // The last one is there, and nothing else waits.
  const settled = new RegExp(`in the archive \\|[^\n]*${job.uuid}[^]* waiting=0$`, 'm');
  for (;;) {
    const next = daemon.logged(/in the archive \|/);
    if (settled.test(daemon.log())) break;
    await next;
  }
  const { jobs } = await daemon.as('viewer').unary(queryJobs, { limit: 1000 });
  const archived = (await keysOf(objects, '')).map((key) => key.split('/')[0] ?? '');
  const known = jobs.map(({ uuid }) => uuid);
  assert.deepEqual([...new Set(archived)].toSorted(), known.toSorted());
  for (const id of known) await assertWhole(id);
  assert.equal(await unfinished(), 0);
});

/** All that a log holds, by several questions. */
async function answers(of: Daemon, uuid: string): Promise<string[]> {
  const requests: LogRequest[] = [
    {},
    { position: 20_000n },
    { tailLines: 7, streams: ['stderr'] },
    { streams: ['stdout'] },
    { filter: '77$', linesAfter: 1 },
  ];
  const all: string[] = [];
  for (const request of requests) {
    const bytes = await output(of.as('viewer'), { uuid, noFollow: true, ...request });
    all.push(bytes.toString('base64'));
  }
  for await (const { content } of of.as('viewer').serverStream(queryLogs, { jobId: uuid })) {
    all.push(Buffer.from(content).toString('base64'));
  }
  return all;
}

test('what retention removes from the node is read from the archive, and goes only when it is there (S3-1, S3-5)', {
  skip,
}, async (t) => {
  const before = await startSmall('kept/');
  t.after(() => before.stop());
  const noise = 'for i in $(seq 1 1000); do echo out $i of many; echo err $i >&2; done';
  const script = `${noise}; printf "\\000\\377\\r\\n"; head -c 150000 /dev/urandom; printf end`;
  const { job } = await finish(before.as('developer'), shell(script));
  const short = await finish(before.as('developer'), shell('echo short'));
  const ids = [job.uuid, short.job.uuid];
  const expected: string[][] = [];
  for (const id of ids) expected.push(await answers(before, id));
  await before.end();
  // The same node with room for nothing.
  const configFile = path.join(before.directory, 'joblet-config.yml');
  const config = JSON.parse(readFileSync(configFile, 'utf8'));
  writeFileSync(
    configFile,
    JSON.stringify({ ...config, logs: { ...config.logs, retentionBytes: 1 } }),
  );
  wire.cut();
  const warned = before.logged(/\[WARN\] the archive cannot be used/);
  const removed = ids.map((id) =>
    before.logged(new RegExp(`output of an ended job is removed.*${id}`)),
  );
  await before.restart();
  await warned;
  assert.deepEqual(await answers(before, job.uuid), expected[0], 'nothing goes before it is there');
  wire.mend();
  await Promise.all(removed);
  for (const [index, id] of ids.entries()) {
    const left = readdirSync(path.join(before.directory, 'logs', id));
    assert.deepEqual(
      left.filter((name) => name.includes('.log')),
      [],
    );
    assert.deepEqual(await answers(before, id), expected[index]);
  }
  wire.cut();
  await assert.rejects(answers(before, job.uuid), /UNAVAILABLE|cannot be used/);
  wire.mend();
  assert.deepEqual(await answers(before, job.uuid), expected[0]);
});
