// Events on a real daemon: whoever watches hears of every change once and in order, whatever is killed
// meanwhile, and is told when that cannot be (S2-35).

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { EventView } from '../src/client/event-messages.ts';
import {
  createSchedule,
  createVolume,
  deleteSchedule,
  queryAudit,
  removeVolume,
  resizeVolume,
  watchEvents,
} from '../src/client/methods.ts';
import { eventActions } from '../src/daemon/audit/events.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { finish, shell, start } from './job-calls.ts';
import { runRnx } from './rnx.ts';
import { get } from './web-client.ts';
import { finishWorkflow } from './workflow-calls.ts';

const skip = cannotRun();
/** How often a daemon is killed amid changes; a campaign sets more. */
const ROUNDS = Number(process.env['JOBLET_CRASH_ROUNDS'] ?? 3);

let daemon: Daemon;

before(async () => {
  if (skip === false) daemon = await startDaemon({ web: { enabled: true, port: 0 } });
});

after(async () => {
  await daemon?.stop();
});

type Wish = Parameters<typeof watchEvents.encode>[0];

/** The events that are there. */
async function events(wish: Wish = {}): Promise<EventView[]> {
  const found: EventView[] = [];
  const request = { fromOldest: true, noFollow: true, ...wish };
  for await (const { event } of daemon.as('viewer').serverStream(watchEvents, request)) {
    if (event !== undefined) found.push(event);
  }
  return found;
}

function told(found: readonly EventView[]): string[] {
  return found.map(({ action, status, subject, who }) => `${action} ${status} ${subject} ${who}`);
}

test('jobs, workflows, schedules and volumes tell whoever may look of every change', {
  skip,
}, async () => {
  const api = daemon.as('admin');
  const { job } = await finish(api, shell('exit 3'));
  assert.deepEqual(told(await events({ subjects: [job.uuid.slice(0, 8)] })), [
    `job.created INITIALIZING ${job.uuid} test-admin`,
    `job.running RUNNING ${job.uuid} `,
    `job.ended FAILED ${job.uuid} `,
  ]);

  const text = 'jobs:\n  only: {command: "true"}\n';
  const { workflow } = await finishWorkflow(api, text);
  const uuid = workflow?.uuid ?? '';
  assert.deepEqual(told(await events({ kinds: ['workflow'], subjects: [uuid] })), [
    `workflow.created PENDING ${uuid} test-admin`,
    `workflow.running RUNNING ${uuid} `,
    `workflow.ended COMPLETED ${uuid} `,
  ]);

  await api.unary(createVolume, { name: 'data', size: '10MB' });
  await api.unary(resizeVolume, { name: 'data', size: '20MB' });
  await api.unary(removeVolume, { name: 'data' });
  const cron = { name: 'tidy', cron: '30 2 * * *', timeZone: 'UTC', job: shell('true') };
  await api.unary(createSchedule, cron);
  await api.unary(deleteSchedule, { name: 'tidy' });
  assert.deepEqual(told(await events({ subjects: ['data', 'tidy'] })), [
    'volume.created ok data test-admin',
    'volume.resized ok data test-admin',
    'volume.removed ok data test-admin',
    'schedule.created ok tidy test-admin',
    'schedule.deleted ok tidy test-admin',
  ]);
});

test('a watcher that goes on behind its position misses nothing and hears nothing twice, over restarts', {
  skip,
}, async () => {
  const seen: EventView[] = [];
  let position = 0n;
  /** Follows until the daemon is gone, or `isEnough` says so. */
  const follow = async (isEnough: (event: EventView) => boolean) => {
    const request = position === 0n ? { fromOldest: true } : { after: position };
    const stream = daemon.as('viewer').serverStream(watchEvents, request);
    try {
      for await (const news of stream) {
        assert.ok(news.position >= position);
        position = news.position;
        if (news.event === undefined) continue;
        seen.push(news.event);
        if (isEnough(news.event)) return;
      }
    } catch {
      // The daemon was killed: goes on with the next one.
    }
  };
  for (let round = 0; round < ROUNDS; round++) {
    const following = follow(() => false);
    const api = daemon.as('developer');
    // The second half of them is being accepted, or run, when the daemon dies.
    await Promise.all(Array.from({ length: 10 }, () => start(api, { command: '/bin/true' })));
    const rest = Array.from({ length: 10 }, () => start(api, { command: '/bin/true' }));
    await Promise.race(rest);
    await daemon.kill();
    await Promise.allSettled(rest);
    await following;
    await daemon.restart();
  }
  const last = await start(daemon.as('developer'), { command: '/bin/true' });
  await follow(({ subject, action }) => subject === last && action === 'job.ended');
  const numbers = seen.map(({ sequence }) => sequence);
  assert.deepEqual(
    numbers,
    numbers.toSorted((a, b) => Number(a - b)),
  );
  // The audit log has more in between: it is for admins.
  const query = { filter: { actions: eventActions() }, limit: 1000 };
  const { records } = await daemon.as('admin').unary(queryAudit, query);
  const known = records.map(({ sequence }) => sequence).reverse();
  assert.deepEqual(numbers, known.slice(0, known.indexOf(numbers.at(-1) ?? 0n) + 1));
});

test('a position that nobody can go on from is refused, and so is a wish for nothing', {
  skip,
}, async () => {
  const refused = (wish: Wish) =>
    events({ fromOldest: false, ...wish }).then(
      () => 'nothing',
      (error: Error & { kind?: string }) => `${error.kind}: ${error.message}`,
    );
  assert.match(await refused({ after: 1_000_000n }), /^wrong-state: there is no 1000000 yet/);
  assert.match(await refused({ after: -1n }), /^invalid: after: is no position/);
  assert.match(
    await refused({ kinds: ['moon'], actions: ['job.moved'], last: 1001 }),
    /^invalid: kinds: "moon" is no kind.*actions: "job.moved" is no event.*last: is from 0 to 1000/,
  );
  const others = { kinds: ['volume'], actions: ['job.ended'] };
  assert.match(await refused(others), /^invalid: actions: are none of volume/);
});

test('rnx events shows the newest, and goes on behind a number', { skip }, async () => {
  const { job } = await finish(daemon.as('developer'), { command: '/bin/true' });
  const shown = await runRnx(daemon, 'viewer', 'events', '--json', '--limit', '3');
  const lines = shown.out.trimEnd().split('\n');
  const [created, running, ended] = lines.map(
    (line) => JSON.parse(line) as Record<string, unknown>,
  );
  assert.equal(created?.['action'], 'job.created');
  assert.equal(running?.['status'], 'RUNNING');
  assert.equal(ended?.['subject'], job.uuid);
  const args = ['--after', String(created?.['sequence']), '--action', 'job.ended'];
  const behind = await runRnx(daemon, 'viewer', 'events', '--json', ...args);
  assert.equal(behind.out, `${lines[2]}\n`);
  const { out } = await runRnx(daemon, 'viewer', 'events', job.uuid);
  assert.match(out, new RegExp(`job\\.ended +COMPLETED +${job.uuid} +- +EXITED`));
});

test('events are told to browsers, which go on where they were', { skip }, async () => {
  const { job } = await finish(daemon.as('developer'), { command: '/bin/true' });
  const path = `/v1/events?follow=false&subject=${job.uuid}`;
  const { headers, body } = await get(daemon, 'viewer', `${path}&last=3`);
  assert.equal(headers['content-type'], 'text/event-stream');
  const all = body.split('\n\n').filter((text) => text.includes('\nevent: '));
  const [created = '', running = ''] = all;
  assert.equal(all.length, 3);
  assert.match(running, /^id: \d+\nevent: job.running\ndata: \{"sequence":\d+,"kind":"job",/);
  const id = /^id: (\d+)/.exec(created)?.[1] ?? '';
  const again = await get(daemon, 'viewer', path, { headers: { 'last-event-id': id } });
  assert.deepEqual(
    again.body.split('\n\n').filter((text) => text.includes('\nevent: ')),
    all.slice(1),
  );
  const beyond = await get(daemon, 'viewer', '/v1/events?after=1000000');
  assert.equal(beyond.code, 409);
  const wrong = await get(daemon, 'viewer', '/v1/events?last=x&moon=1&follow=no');
  assert.match(wrong.body, /moon: is not known.*follow: is true or false.*last: is a number/);
  assert.equal((await get(daemon, undefined, path)).code, 401);
});
