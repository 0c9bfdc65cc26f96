// Alerts of a real daemon, told to a real webhook and a real program of the operator's.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { json } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { listAlerts } from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { finish, shell } from './job-calls.ts';
import { runRnx } from './rnx.ts';

const skip = cannotRun();
const NOBODY = 65_534;
const tools = mkdtempSync(path.join(tmpdir(), 'joblet-alert-tools-'));
const kept = path.join(tools, 'kept');

interface Told {
  readonly id: string;
  readonly rule: string;
  readonly state: string;
  readonly subject: string;
  readonly job: string;
  readonly message: string;
}

/** What came to the webhook, as it came. */
const arrivals = new EventEmitter<{ told: [Told] }>();
const told: Told[] = [];
let server: Server;
let port = 0;
let daemon: Daemon;

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  assert.equal(request.headers['authorization'], 'Bearer token');
  const { node, notices } = (await json(request)) as { node: string; notices: Told[] };
  assert.equal(node, 'test-node');
  response.end();
  for (const notice of notices) {
    told.push(notice);
    arrivals.emit('told', notice);
  }
}

async function listen(): Promise<void> {
  server = createServer((request, response) => void answer(request, response));
  await once(server.listen(port, '127.0.0.1'), 'listening');
  ({ port } = server.address() as AddressInfo);
}

/** The next notice from now on that is about something. */
async function next(rule: string, subject: string): Promise<Told> {
  for (;;) {
    const [notice] = (await once(arrivals, 'told')) as [Told];
    if (notice.rule === rule && notice.subject === subject) return notice;
  }
}

function job(name: string, script: string) {
  return finish(daemon.as('developer'), shell(script, { name }));
}

/** A program of the operator's that keeps what it is told, who it is and what it has. */
function program(): string {
  chmodSync(tools, 0o755);
  mkdirSync(kept);
  chownSync(kept, NOBODY, NOBODY);
  const file = path.join(tools, 'page');
  const script = `{ id -u; echo "$@"; env | sort; cat; } > ${kept}/part && mv ${kept}/part ${kept}/paged`;
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

/** What the program has kept, as soon as it has. */
async function paged(): Promise<string[]> {
  const watcher = watch(kept);
  const changed = once(watcher, 'change');
  const isThere = () => readdirSync(kept).includes('paged');
  for (let change = changed; !isThere(); change = once(watcher, 'change')) await change;
  watcher.close();
  return readFileSync(path.join(kept, 'paged'), 'utf8').split('\n');
}

before(async () => {
  if (skip !== false) return;
  await listen();
  const targets = [
    {
      name: 'ops',
      webhook: `http://127.0.0.1:${port}/`,
      headers: { Authorization: 'Bearer token' },
    },
    { name: 'page', command: [program(), '--urgent'] },
    { name: 'wrong', command: ['/bin/sh', '-c', 'echo no such pager >&2; exit 7'] },
    { name: 'loud', command: ['/bin/sh', '-c', 'yes loud | head -c 20000000 >&2; exit 3'] },
    { name: 'slow', command: ['/bin/sh', '-c', 'sleep 600 & sleep 600'], timeout: '100ms' },
  ];
  const rules = [
    { name: 'nightly-failed', when: 'job-failed', jobs: 'nightly-*', to: ['ops', 'page'] },
    { name: 'disk', when: 'disk', path: '/', above: 0, to: ['ops'] },
  ];
  const arrived = once(arrivals, 'told');
  daemon = await startDaemon({ alerts: { interval: '1s', targets, rules } });
  await arrived;
});

after(async () => {
  await daemon?.stop();
  server?.close();
  rmSync(tools, { recursive: true, force: true });
});

test('a job that fails is told to a webhook and a command, once over restarts, and its end too (S2-43)', {
  skip,
}, async () => {
  const coming = next('nightly-failed', 'nightly-db');
  const { job: failed } = await job('nightly-db', 'exit 3');
  const fired = await coming;
  assert.equal(fired.state, 'fired');
  assert.equal(fired.job, failed.uuid);
  assert.match(fired.message, /^job nightly-db \(\S+\) ended FAILED: EXITED: .* exit code 3$/);

  // It fails again, and so does a job that nobody asked about, in a daemon that came back.
  await job('nightly-db', 'exit 4');
  await job('other', 'exit 4');
  await daemon.kill();
  await daemon.restart();
  await job('nightly-db', 'exit 5');
  const over = next('nightly-failed', 'nightly-db');
  await job('nightly-db', 'true');
  const resolved = await over;
  assert.equal(resolved.state, 'resolved');
  assert.match(resolved.message, /^job nightly-db \(\S+\) completed$/);
  const mine = told.filter(({ rule }) => rule === 'nightly-failed');
  assert.deepEqual(
    mine.map(({ state }) => state),
    ['fired', 'resolved'],
  );
  // What has fired with the first daemon was not told again by the second.
  assert.equal(told.filter(({ rule }) => rule === 'disk').length, 1);

  const [uid, args, ...rest] = await paged();
  assert.deepEqual([uid, args], [String(NOBODY), '--urgent']);
  const text = rest.find((line) => line.startsWith('{')) ?? '';
  assert.equal((JSON.parse(text) as { notices: Told[] }).notices[0]?.rule, 'nightly-failed');
  const names = rest.filter((line) => /^\w+=/.test(line)).map((line) => line.split('=')[0]);
  assert.deepEqual(names, ['PATH', 'PWD']);
});

test('what a webhook missed while it was away it is told when it is back', { skip }, async () => {
  server.closeAllConnections();
  await once(server.close(), 'close');
  const warned = daemon.logged(/a notice could not be sent .*ECONNREFUSED/);
  await job('nightly-web', 'exit 1');
  await warned;
  const coming = next('nightly-failed', 'nightly-web');
  await listen();
  assert.equal((await coming).state, 'fired');
});

test('rnx shows what fires and who was told, and tries a target', { skip }, async () => {
  const { out } = await runRnx(daemon, 'viewer', 'alert', 'list');
  assert.match(out, /FIRING +disk +ops +disk in use \(\/\): [\d.]+ %, the limit is 0 %/);
  const { alerts } = await daemon.as('viewer').unary(listAlerts, { all: true });
  assert.ok(
    alerts.some(({ status, subject }) => status === 'RESOLVED' && subject === 'nightly-db'),
  );

  const coming = once(arrivals, 'told');
  const tried = await runRnx(daemon, 'operator', 'alert', 'test', 'ops');
  assert.equal(tried.out, 'ops was told\n');
  assert.equal(((await coming) as [Told])[0].state, 'test');
  const wrong = await runRnx(daemon, 'operator', 'alert', 'test', 'wrong');
  assert.match(wrong.err, /wrong was not told: \/bin\/sh ended with exit code 7: no such pager/);
  const loud = await runRnx(daemon, 'operator', 'alert', 'test', 'loud');
  assert.match(loud.err, /loud was not told: \/bin\/sh ended with exit code 3: loud/);
  assert.ok(loud.err.length < 1000);
  const slow = await runRnx(daemon, 'operator', 'alert', 'test', 'slow');
  assert.match(slow.err, /slow was not told: \/bin\/sh ran longer than 100 ms/);
  const unknown = await runRnx(daemon, 'operator', 'alert', 'test', 'none');
  assert.match(unknown.err, /there is no target none; there is ops, page, wrong, loud, slow/);
});
