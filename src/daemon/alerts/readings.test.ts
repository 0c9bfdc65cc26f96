import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { statfsSync } from 'node:fs';
import { test } from 'node:test';
import type { Rule } from '../alert-rules.ts';
import { makeAuthority } from '../certs.ts';
import { readHostUsage } from '../linux/host-usage.ts';
import type { ReadingParts } from './readings.ts';
import { Readings } from './readings.ts';

const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2030, 0, 1);

async function readings(more: Partial<ReadingParts> = {}) {
  const usage = await readHostUsage();
  const cpu = (busy: number, idle: number) => ({
    user: busy,
    system: 0,
    idle,
    ioWait: 0,
    steal: 0,
  });
  const looks = [cpu(0, 0), cpu(80, 20), cpu(80, 120)].map((ticks) => ({ ...usage, cpu: ticks }));
  const warned: string[] = [];
  const found = new Readings({
    host: { look: async () => looks.shift() ?? assert.fail('one look too many') },
    samples: { brief: async () => new Map() },
    waiting: () => 3,
    jobOf: () => undefined,
    directories: ['/'],
    certificates: () => ({}),
    log: { warn: (_, fields) => void warned.push(String(fields?.['why'])) },
    ...more,
  });
  return { readings: found, warned };
}

function rule(name: string, more: Partial<Rule>): Rule {
  return { name, when: 'cpu', to: [], ...more };
}

test('processors are busy by what they did since the last look', async () => {
  const { readings: found } = await readings();
  const rules = [rule('busy', { above: 70 })];
  assert.deepEqual(await found.look(rules, NOW_MS), []);
  const [first] = await found.look(rules, NOW_MS);
  assert.equal(first?.isBeyond, true);
  assert.equal(first?.text, 'all cores of the host are busy: 80 %, the limit is 70 %');
  const [second] = await found.look(rules, NOW_MS);
  assert.equal(second?.isBeyond, false);
});

test('jobs that wait are counted', async () => {
  const { readings: found } = await readings();
  const [queue] = await found.look([rule('queue', { when: 'jobs-waiting', above: 2 })], NOW_MS);
  assert.equal(queue?.text, 'jobs that wait for their turn: 3, the limit is 2');
  assert.equal(queue?.isBeyond, true);
});

test('a file system is looked at once, however many directories lie on it', async () => {
  const { readings: found } = await readings({ directories: ['/', '/usr', '/'] });
  const all = await found.look([rule('full', { when: 'disk', above: 0 })], NOW_MS);
  assert.equal(all[0]?.subject, '/');
  assert.equal(new Set(all.map(({ subject }) => subject)).size, all.length);
  const { blocks, bfree, bavail } = statfsSync('/');
  const used = ((blocks - bfree) / (blocks - bfree + bavail)) * 100;
  const said = Number(/: ([\d.]+) %/.exec(all[0]?.text ?? '')?.[1]);
  assert.ok(Math.abs(said - used) < 1, `${said} and ${used}`);
});

test('a certificate runs out when fewer days are left than the limit', async () => {
  const { cert } = await makeAuthority(NOW_MS);
  const { readings: found } = await readings({ certificates: () => ({ ca: cert }) });
  const certs = rule('certs', { when: 'certificate', below: 14 * DAY_MS });
  const [far] = await found.look([certs], NOW_MS);
  assert.equal(far?.isBeyond, false);
  const days = Number(/in (\d+) days/.exec(far?.text ?? '')?.[1]);
  const [near] = await found.look([certs], NOW_MS + (days - 13) * DAY_MS);
  assert.equal(near?.isBeyond, true);
  assert.match(
    near?.text ?? '',
    /^certificate of the node runs out \(ca\) on 20\d\d-\d\d-\d\d, in 13 days; the limit is 14 days$/,
  );
});

test('what is left of a certificate, and the limit, are said in days or hours, and as they are now', async () => {
  const { cert } = await makeAuthority(NOW_MS);
  const endMs = Date.parse(new X509Certificate(cert).validTo);
  const HOUR_MS = DAY_MS / 24;
  const said: readonly (readonly [below: number, left: number, text: string])[] = [
    [HOUR_MS / 2, HOUR_MS / 3, 'in 20m; the limit is 30m'],
    [36 * HOUR_MS, 35.5 * HOUR_MS, 'in 35h30m; the limit is 36h'],
    [DAY_MS, 1.5 * DAY_MS, 'in 36h; the limit is 24h'],
    [3.5 * DAY_MS, 3.25 * DAY_MS, 'in 3 days; the limit is 84h'],
    [14 * DAY_MS, -1.5 * DAY_MS, '36h ago; the limit is 14 days'],
    [14 * DAY_MS, -9.5 * DAY_MS, '9 days ago; the limit is 14 days'],
  ];
  for (const [below, left, text] of said) {
    const { readings: found } = await readings({ certificates: () => ({ ca: cert }) });
    const certs = rule('certs', { when: 'certificate', below });
    // It was read before, not as long ago as it takes to read it again.
    await found.look([certs], endMs - left - HOUR_MS / 2);
    const [now] = await found.look([certs], endMs - left);
    const on = new Date(endMs).toISOString().slice(0, 10);
    assert.equal(now?.text, `certificate of the node runs out (ca) on ${on}, ${text}`);
    assert.equal(now?.isBeyond, left < below);
  }
});

test('jobs are looked at one by one, those that a rule means', async () => {
  const use = (cpuUsec: number) => ({ cpuUsec, memoryBytes: 90, tasks: 1 });
  let usec = 0;
  const { readings: found } = await readings({
    samples: {
      brief: async () => {
        usec += 5_000_000;
        return new Map([
          ['1', use(usec)],
          ['2', use(usec)],
        ]);
      },
    },
    jobOf: (id) => ({ name: id === '1' ? 'build' : 'other', memoryLimitBytes: 100 }),
  });
  const rules = [
    rule('hot', { when: 'job-cpu', above: 40, jobs: 'build' }),
    rule('big', { when: 'job-memory', above: 95 }),
  ];
  await found.look(rules, NOW_MS);
  const all = await found.look(rules, NOW_MS + 10_000);
  assert.deepEqual(
    all.map(({ rule: { name }, subject, isBeyond }) => [name, subject, isBeyond]),
    [
      ['hot', '1', true],
      ['big', '1', false],
      ['big', '2', false],
    ],
  );
  const memory = 'memory of a job, in percent of its limit';
  assert.equal(all[1]?.text, `${memory} (build, 1): 90 %, the limit is 95 %`);
});

test('what cannot be looked at is said once, and the other rules are looked at', async () => {
  const { readings: found, warned } = await readings();
  const rules = [
    rule('gone', { when: 'disk', above: 1, path: '/there/is/nothing' }),
    rule('full', { when: 'disk', above: 1 }),
  ];
  await found.look(rules, NOW_MS);
  assert.equal((await found.look(rules, NOW_MS)).length, 1);
  assert.equal(warned.length, 1);
  assert.match(warned[0] ?? '', /ENOENT.*\/there\/is\/nothing/);
});
