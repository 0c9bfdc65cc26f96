import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Job, type JobSummary } from '../client/messages.ts';
import { decode } from '../client/wire.ts';
import { jobJson, jobLines, jobList, jobTable } from './job-list.ts';
import { fakeOutput } from './output-fake.ts';
import type { Session } from './session.ts';

before(() => {
  process.env['TZ'] = 'UTC';
});

function job(given: Partial<JobSummary>): JobSummary {
  return { ...decode(Job, Buffer.alloc(0)), ...given };
}

const jobs = [
  job({
    uuid: 'f47ac10b-58cc-4372-a567-0e02b2c3d479',
    name: 'build',
    nodeId: '8f94c5b2-1234-4678-9abc-def012345678',
    status: 'COMPLETED',
    startTime: '2026-01-15T10:30:00Z',
    endTime: '2026-01-15T10:30:05Z',
    command: 'echo',
    args: ['hello'],
    maxCpu: 50,
  }),
  job({
    uuid: '6ba7b810-9dad-11d1-80b4-00c04fd430c8',
    status: 'SCHEDULED',
    scheduledTime: '2026-02-01T08:00:00Z',
    command: `python3 -c '${'x'.repeat(90)}'`,
  }),
];

test('a list is a table with a rule; scheduled jobs show when they are due', () => {
  assert.equal(
    jobTable(jobs, fakeOutput({})),
    `ID                                    NAME   NODE ID   STATUS        START TIME           COMMAND
${'-'.repeat(170)}
f47ac10b-58cc-4372-a567-0e02b2c3d479  build  8f94c5b2  COMPLETED     2026-01-15 10:30:00  echo hello
6ba7b810-9dad-11d1-80b4-00c04fd430c8  -      -         SCHEDULED     2026-02-01 08:00:00  python3 -c '${'x'.repeat(65)}...
`,
  );
});

test('a job that waits for its turn shows how many are ahead', () => {
  const waiting = [
    job({ uuid: 'a', status: 'PENDING', jobsAhead: 12, waitsFor: 'all 50 places are taken' }),
    job({ uuid: 'b', status: 'PENDING' }),
  ];
  const text = jobTable(waiting, fakeOutput({}));
  assert.match(text, /\na .* PENDING +12 ahead +/);
  assert.match(text, /\nb .* PENDING +next +/);
  assert.deepEqual(waiting.map(jobJson)[0], {
    id: 'a',
    status: 'PENDING',
    start_time: '',
    command: '',
    waits_for: 'all 50 places are taken',
    jobs_ahead: 12,
  });
});

test('no jobs are a sentence', () => {
  assert.equal(jobTable([], fakeOutput({})), 'No jobs found\n');
  assert.equal(jobLines([]), 'No jobs found\n');
});

test('on a narrow terminal the lines fit, with short ids', () => {
  const text = jobTable(jobs, fakeOutput({ terminal: true, columns: 80 }));
  for (const line of text.trimEnd().split('\n')) assert.ok(line.length <= 80, line);
  assert.match(text, /\nf47ac10b {2}build/);
});

test('S4-16 the older spelling prints a line for each job', () => {
  assert.equal(
    jobLines(jobs.slice(0, 1)),
    'f47ac10b-58cc-4372-a567-0e02b2c3d479 COMPLETED StartTime: 2026-01-15T10:30:00Z Command: echo hello\n',
  );
});

test('for programs a job has the keys of the published format', () => {
  assert.deepEqual(jobs.map(jobJson), [
    {
      id: 'f47ac10b-58cc-4372-a567-0e02b2c3d479',
      name: 'build',
      node_id: '8f94c5b2-1234-4678-9abc-def012345678',
      status: 'COMPLETED',
      start_time: '2026-01-15T10:30:00Z',
      end_time: '2026-01-15T10:30:05Z',
      command: 'echo',
      args: ['hello'],
      exit_code: 0,
      max_cpu: 50,
    },
    {
      id: '6ba7b810-9dad-11d1-80b4-00c04fd430c8',
      status: 'SCHEDULED',
      start_time: '',
      command: `python3 -c '${'x'.repeat(90)}'`,
      scheduled_time: '2026-02-01T08:00:00Z',
    },
  ]);
});

test('a job cannot write control characters into the list', () => {
  const evil = job({ uuid: 'x', name: '\u001b[2J', command: 'a\nb\r\u001b]0;t\u0007' });
  for (const text of [
    jobTable([evil], fakeOutput({ terminal: true, color: true })),
    jobLines([evil]),
  ]) {
    assert.doesNotMatch(text, /[^\P{Cc}\n]/u);
    assert.match(text, /a\\nb\\r\\x1b\]0;t\\x07/);
  }
});

/** What a list prints of so many jobs, which a daemon has that answers a thousand at once. */
async function listed(count: number, json: boolean, limit: number | undefined) {
  const [out, err] = [fakeOutput({}), fakeOutput({})];
  const unary = async (_: unknown, { limit: most, pageToken }: Record<string, string | number>) => {
    const from = Number(pageToken);
    const to = Math.min(from + Number(most), count);
    const page = Array.from({ length: to - from }, (_, at) => job({ uuid: `job-${from + at}` }));
    return { jobs: page, nextPageToken: to < count ? String(to) : '' };
  };
  const connect = async () => ({ unary });
  const session = { json, out, err, connect, deadlineMs: () => undefined } as unknown as Session;
  const values = { status: [], limit, name: undefined, workflow: false };
  await jobList.run(values as never, [], session);
  return { jobs: out.text().match(/job-\d+/g)?.length ?? 0, said: err.text() };
}

test('people are shown the newest thousand and told that there are more, programs get all', async () => {
  const told = 'These are the newest 1000; there are more: --limit=N shows N, --limit=0 all\n';
  assert.deepEqual(await listed(2500, false, undefined), { jobs: 1000, said: told });
  assert.deepEqual(await listed(1000, false, undefined), { jobs: 1000, said: '' });
  assert.deepEqual(await listed(2500, true, undefined), { jobs: 2500, said: '' });
  assert.deepEqual(await listed(2500, false, 0), { jobs: 2500, said: '' });
  assert.deepEqual(await listed(2500, true, 1200), { jobs: 1200, said: '' });
});
