import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diag, type TracerProvider, trace } from '@opentelemetry/api';
import { endTracing, findTracing } from './tracing.ts';

const HOUR_MS = 3_600_000;

test('each kind of trouble that an SDK tells of is said once an hour, with all that it says', async (t) => {
  let nowMs = 0;
  t.mock.method(performance, 'now', () => nowMs);
  trace.setGlobalTracerProvider({ getTracer: () => assert.fail('nobody traces') });
  t.after(() => {
    trace.disable();
    diag.disable();
  });
  const said: unknown[] = [];
  await findTracing({ warn: (_, fields) => void said.push(fields?.['why']) });
  const trouble = (dropped: number) => {
    diag.error(JSON.stringify({ message: 'Bad Request', code: 400, stack: 'at …' }));
    diag.warn(`Dropped ${dropped} spans because the queue is full`);
    diag.error('spans were lost', new Error('ECONNREFUSED'), { tries: 3 }, 'twice');
  };
  const all = (dropped: number) => [
    'Bad Request',
    `Dropped ${dropped} spans because the queue is full`,
    'spans were lost ECONNREFUSED { tries: 3 } twice',
  ];
  trouble(1);
  trouble(2);
  assert.deepEqual(said, all(1));
  nowMs += HOUR_MS;
  trouble(3);
  assert.deepEqual(said, [...all(1), ...all(3)]);
  // What is new each time is said so often, and no more.
  for (let kinds = 0; kinds < 100; kinds += 1) diag.error('x'.repeat(kinds + 1));
  assert.ok(said.length < 30, `${said.length}`);
});

test('a stop goes well however an SDK takes it', async (t) => {
  const endings: readonly (() => Promise<void>)[] = [
    async () => {},
    () => Promise.reject(new Error('the collector is gone')),
    () => {
      throw new Error('shut down already');
    },
  ];
  for (const shutdown of endings) {
    const provider = { getTracer: () => assert.fail('nobody traces'), shutdown };
    trace.setGlobalTracerProvider(provider satisfies TracerProvider);
    t.after(() => trace.disable());
    assert.equal(await endTracing(), true);
    trace.disable();
  }
});
