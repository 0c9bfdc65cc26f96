// A job's log as Server-Sent Events, read from the web port of a real daemon.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { connect as openTls } from 'node:tls';
import { getJobLogs, getServerVersion, stopJob } from '../src/client/methods.ts';
import type { Role } from '../src/daemon/jobs/job.ts';
import { residentBytes } from './daemon-memory.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, output, printed, python, shell, start } from './job-calls.ts';
import { get, get2, reach } from './web-client.ts';

const skip = cannotRun();
const MAX_REQUESTS = 32;
const QUOTA_BYTES = 8 * 1024 * 1024;
/** What the daemon may hold more while readers do not read; all that they asked for is four times as much. */
const ATTACKED_BYTES = 128 * 1024 * 1024;

let daemon: Daemon;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon({
    web: { enabled: true, port: 0, maxRequestsPerClient: MAX_REQUESTS },
    logs: { segmentBytes: 1024 * 1024, quotaBytes: QUOTA_BYTES },
  });
});

after(async () => {
  await daemon?.stop();
});

interface Event {
  readonly id: string;
  readonly name: string;
  readonly data: {
    readonly text?: string;
    readonly base64?: string;
    readonly time: string;
    readonly droppedBytes?: number;
    readonly reason?: string;
    readonly status?: string;
    readonly exitCode?: number;
  };
}

/** The events of an answer as they come. */
async function* eventsOf(answer: IncomingMessage): AsyncGenerator<Event> {
  let text = '';
  answer.setEncoding('utf8');
  for await (const piece of answer) {
    text += piece;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const lines = text.slice(0, end).split('\n');
      text = text.slice(end + 2);
      const field = (name: string) =>
        lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const [id, name, data] = ['id', 'event', 'data'].map(field);
      if (id && name && data) yield { id, name, data: JSON.parse(data) };
    }
  }
}

/** Follows a job's log, from behind an event where its id is given. */
async function follow(role: Role, path: string, lastId?: string): Promise<IncomingMessage> {
  const headers = lastId === undefined ? {} : { 'last-event-id': lastId };
  const asked = request({ ...reach(daemon, role), agent: false, path, headers });
  asked.end();
  const [answer] = await once(asked, 'response');
  assert.equal(answer.statusCode, 200);
  return answer;
}

function bytesOf({ data: { text, base64 } }: Event): Buffer {
  return text === undefined ? Buffer.from(base64 ?? '', 'base64') : Buffer.from(text);
}

test('the events of a log are its bytes, whatever they are, each with stream and time, and its end (S3-1)', {
  skip,
}, async () => {
  const api = daemon.as('developer');
  const uuid = await start(
    api,
    python(`import os
os.write(1, bytes(range(256)) * 3)
os.write(2, 'häß\\r\\n\\ndata: x\\n'.encode())
os.write(1, 'ü'.encode()[:1])
os.write(1, 'ü'.encode()[1:])
raise SystemExit(7)`),
  );
  const events: Event[] = [];
  for await (const event of eventsOf(await follow('viewer', `/v1/jobs/${uuid}/log`))) {
    events.push(event);
  }
  const of = (name: string) =>
    Buffer.concat(events.filter((event) => event.name === name).map(bytesOf));
  const job = await ended(api, uuid);
  assert.deepEqual(of('stdout'), await output(api, { uuid, streams: ['stdout'] }));
  assert.equal(of('stderr').toString(), job.stderr);
  assert.match(events[0]?.data.time ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  const last = events.at(-1);
  assert.equal(last?.name, 'end');
  assert.deepEqual([last?.data.status, last?.data.exitCode], ['FAILED', 7]);

  const path = `/v1/jobs/${uuid}/log?follow=false`;
  const whole = await get(daemon, 'viewer', path);
  assert.equal(whole.headers['content-type'], 'text/event-stream');
  assert.equal((await get2(daemon, 'viewer', path)).body, whole.body);
  const again = await get(daemon, 'viewer', `/v1/jobs/${uuid}/log`, {
    headers: { 'last-event-id': last?.id ?? '' },
  });
  assert.equal(again.code, 204, 'a browser is told not to come again');
});

test('a reader that is cut off after any event, and comes again, has every byte and gap once', {
  skip,
}, async () => {
  const api = daemon.as('developer');
  // More than the quota, so that there is a gap; written while it is read.
  const uuid = await start(
    api,
    shell(`seq 1 200000; yes 0123456789 | head -c ${QUOTA_BYTES}; echo late`),
  );
  const pieces: Buffer[] = [];
  const gaps: string[] = [];
  let lastId: string | undefined;
  let times = 0;
  for (let isOver = false; !isOver; times += 1) {
    const answer = await follow('viewer', `/v1/jobs/${uuid}/log`, lastId);
    let count = 0;
    for await (const event of eventsOf(answer)) {
      lastId = event.id;
      isOver = event.name === 'end';
      if (event.name === 'gap') gaps.push(`${event.data.reason} ${event.data.droppedBytes}`);
      else if (!isOver) pieces.push(bytesOf(event));
      if (++count > (times % 4) * 5) break;
    }
    answer.destroy();
  }
  assert.ok(times > 4, `${times}`);
  const { job } = await ended(api, uuid);
  const whole = await output(api, { uuid, noFollow: true });
  assert.deepEqual(Buffer.concat(pieces), whole);
  const told: string[] = [];
  for await (const { stream, gapReason, droppedBytes } of api.serverStream(getJobLogs, { uuid })) {
    if (stream === 'gap') told.push(`${gapReason} ${droppedBytes}`);
  }
  assert.ok(told.length > 0);
  assert.deepEqual(gaps, told);
  assert.equal(job.status, 'COMPLETED');
});

test('a log is followed while the job writes it, by words that say what of it', {
  skip,
}, async () => {
  const api = daemon.as('developer');
  const uuid = await start(
    api,
    python(
      `import sys, time
print('one\\ntwo\\nthree', flush=True)
print('else', file=sys.stderr, flush=True)
sys.stdin.read()
`,
      { stdin: true },
    ),
  );
  await printed(api, uuid, 'else');
  const path = `/v1/jobs/${uuid}/log?stream=stdout&tail=1`;
  const events = eventsOf(await follow('viewer', path));
  assert.equal((await events.next()).value.data.text, 'three\n');
  const found = await get(
    daemon,
    'viewer',
    `/v1/jobs/${uuid}/log?follow=false&filter=${encodeURIComponent('^t')}`,
  );
  assert.match(found.body, /"text":"two\\n".*"text":"three\\n"/s);
  assert.match(found.body, /event: end\ndata: \{"status":"RUNNING"\}/);
  await api.unary(stopJob, { uuid, force: true });
  assert.equal((await events.next()).value.name, 'end');
});

test('a log is refused with all that is wrong, to those who may not, and where there is no job', {
  skip,
}, async () => {
  const uuid = await start(daemon.as('developer'), shell('true'));
  const code = async (path: string, lastId = '') =>
    (await get(daemon, 'viewer', path, { headers: { 'last-event-id': lastId } })).code;
  assert.equal(await code('/v1/jobs/00000000/log'), 404);
  assert.equal(await code('/v1/jobs/%2e%2e/log'), 404);
  assert.equal(await code(`/v1/jobs/${uuid}/log`, 'x'), 400);
  const wrong = await get(
    daemon,
    'viewer',
    `/v1/jobs/${uuid}/log?tail=-1&since=never&a=b&stream=x`,
  );
  assert.equal(wrong.code, 400);
  for (const word of ['tail', 'since', 'a']) assert.match(wrong.body, new RegExp(`${word}: `));
  assert.equal((await get2(daemon, undefined, `/v1/jobs/${uuid}/log`)).code, 401);
});

test('readers of events that never read cost neither memory nor the job its time, and only so many are let in', {
  skip,
}, async () => {
  const api = daemon.as('developer');
  const uuid = await start(api, shell('exec yes xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'));
  await printed(api, uuid, 'xxxx');
  const before = residentBytes(daemon);
  const readers = Array.from({ length: MAX_REQUESTS }, () =>
    openTls({ ...reach(daemon, 'operator'), ALPNProtocols: ['http/1.1'] } as object),
  );
  await Promise.all(
    readers.map(async (socket) => {
      socket.on('error', () => {});
      await once(socket, 'secureConnect');
      socket.write(`GET /v1/jobs/${uuid}/log HTTP/1.1\r\nhost: x\r\n\r\n`);
      await once(socket, 'readable');
    }),
  );
  assert.equal((await get(daemon, 'operator', '/metrics')).code, 429);
  assert.equal((await get(daemon, 'viewer', '/metrics')).code, 200);
  for (let calls = 0; calls < 50; calls += 1) await api.unary(getServerVersion, {});
  const grown = residentBytes(daemon) - before;
  assert.ok(grown < ATTACKED_BYTES, `${grown}`);
  for (const socket of readers) socket.destroy();
  await api.unary(stopJob, { uuid, force: true });
});

test('who follows a log is cut off when the certificate is revoked', { skip }, async () => {
  const api = daemon.as('developer');
  const uuid = await start(api, shell('echo first; exec sleep 1000'));
  await printed(api, uuid, 'first');
  const events = eventsOf(await follow('operator', `/v1/jobs/${uuid}/log`));
  await events.next();
  const cut = assert.rejects(events.next());
  const { serialNumber } = new X509Certificate(daemon.node('operator').cert);
  writeFileSync(path.join(daemon.directory, 'revoked'), `${serialNumber} test\n`);
  await cut;
  await api.unary(stopJob, { uuid, force: true });
});

test('those who follow a log are cut off when the daemon stops, and go on with the next one', {
  skip,
}, async () => {
  const api = daemon.as('developer');
  const uuid = await start(api, shell('echo first; exec sleep 1000'));
  await printed(api, uuid, 'first');
  const path = `/v1/jobs/${uuid}/log`;
  const events = eventsOf(await follow('viewer', path));
  const first = (await events.next()).value as Event;
  assert.equal(first.data.text, 'first\n');
  const cut = assert.rejects(events.next());
  await daemon.end();
  await cut;
  await daemon.restart();
  const rest = eventsOf(await follow('viewer', path, first.id));
  await daemon.as('developer').unary(stopJob, { uuid, force: true });
  assert.equal((await rest.next()).value.name, 'end');
});
