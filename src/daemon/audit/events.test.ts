import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventActions, isAbout, toEvent } from './events.ts';
import { type AuditRecord, contentOf, type Entry } from './record.ts';

function record(entry: Partial<Entry>): AuditRecord {
  const whole = { atMs: 5, action: 'job.ended', result: 'ok', ...entry } as const;
  return { ...contentOf(whole), sequence: 7, hash: '' };
}

test('an event tells what changed, and of who did it the name alone', () => {
  const who = { name: 'ann', role: 'admin', certificate: '0A', peer: '10.0.0.9:1' };
  const event = toEvent(record({ jobId: 'f47ac10b', result: 'FAILED', detail: 'EXITED', who }));
  assert.deepEqual(event, {
    sequence: 7,
    atMs: 5,
    kind: 'job',
    subject: 'f47ac10b',
    action: 'job.ended',
    status: 'FAILED',
    detail: 'EXITED',
    who: 'ann',
  });
});

test('what has a name is known by it, not by what else its record says', () => {
  const told = (action: Entry['action'], detail: string) => {
    const event = toEvent(record({ action, detail, jobId: 'an-id' }));
    return [event?.kind, event?.subject, event?.detail];
  };
  assert.deepEqual(told('volume.created', 'data filesystem 10 MB'), [
    'volume',
    'data',
    'filesystem 10 MB',
  ]);
  assert.deepEqual(told('schedule.created', 'tidy: 30 2 * * * UTC'), [
    'schedule',
    'tidy',
    '30 2 * * * UTC',
  ]);
  assert.deepEqual(told('runtime.removed', 'python@3.12'), ['runtime', 'python@3.12', '']);
  assert.deepEqual(told('daemon.start', 'version 1'), ['node', '', 'version 1']);
});

test('what only admins may know is no event', () => {
  for (const action of [
    'call.refused',
    'certificates.reload',
    'job.input',
    'audit.pruned',
  ] as const) {
    assert.equal(toEvent(record({ action })), undefined);
    assert.equal(eventActions().includes(action), false);
  }
  // Written by a later version.
  assert.equal(toEvent({ ...record({}), action: 'moon.rises' }), undefined);
});

test('ids are found by their beginning, names only whole', () => {
  const job = toEvent(record({ jobId: 'f47ac10b-58cc' }));
  const volume = toEvent(record({ action: 'volume.removed', detail: 'data' }));
  assert.ok(job && volume);
  assert.ok(isAbout(job, ['F47A']) && isAbout(volume, ['data']) && isAbout(job, []));
  assert.ok(!isAbout(job, ['data']) && !isAbout(volume, ['da']));
});
