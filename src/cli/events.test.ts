import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { eventLine } from './events.ts';
import { fakeOutput } from './output-fake.ts';

before(() => {
  process.env['TZ'] = 'UTC';
});

const event = {
  sequence: 7n,
  time: '2026-11-26T09:12:00.704Z',
  kind: 'job',
  subject: '1d8d06e4-d450-460f-938d-ce4d871598cb',
  action: 'job.ended',
  status: 'FAILED',
  detail: 'EXITED: the command ended with exit code 3',
  who: '',
};

test('an event is one line of a terminal, however narrow, and whole elsewhere', () => {
  assert.equal(
    eventLine(event, fakeOutput({})),
    '2026-11-26 09:12:00  job.ended         FAILED        1d8d06e4-d450-460f-938d-ce4d871598cb  -             EXITED: the command ended with exit code 3\n',
  );
  const narrow = eventLine(event, fakeOutput({ terminal: true, columns: 80 }));
  assert.equal(
    narrow,
    '11-26 09:12:00  job.ended         FAILED        1d8d06e4  -         EXITED: the\n',
  );
});

test('what a client has chosen moves no cursor', () => {
  const line = eventLine({ ...event, kind: 'volume', subject: 'a\u001b[2J' }, fakeOutput({}));
  assert.ok(line.includes('a\\x1b[2J'));
});
