import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import type { JobletError } from '../../shared/errors.ts';
import { type Incoming, type Outgoing, WebRequest } from './request.ts';

/** The other end of an answer, which takes nothing until it is told to. */
class Reader extends EventEmitter {
  headersSent = true;
  writableNeedDrain = true;
  write() {
    return false;
  }
}

function requestOf(reader: Reader): WebRequest {
  const caller = { name: 'ann', role: 'viewer', units: ['viewer'] } as const;
  const incoming = { headers: {} } as Incoming;
  return new WebRequest(
    { caller, serial: 'A1', notAfterMs: Number.POSITIVE_INFINITY },
    new URL('https://node/'),
    '127.0.0.1:1',
    incoming,
    reader as unknown as Outgoing,
  );
}

test('a reader that takes nothing for a minute is given up, and one that does is waited for', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const reader = new Reader();
  const request = requestOf(reader);
  const slow = request.write('x');
  t.mock.timers.tick(59_000);
  reader.emit('drain');
  await slow;
  const stalled = request.write('x');
  t.mock.timers.tick(60_000);
  await assert.rejects(stalled, (error: JobletError) => error.kind === 'exhausted');
});

test('a reader that is gone is waited for no longer', async () => {
  const reader = new Reader();
  const request = requestOf(reader);
  const writing = request.write('x');
  reader.emit('close');
  await assert.rejects(writing, /canceled/);
  await assert.rejects(request.write('x'), /canceled/);
});
