import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type End, parseEnd } from './end-record.ts';
import { parsePairs } from './frames.ts';

const count = fc.maxSafeNat();
const word = fc.string().map((text) => text.replaceAll('\0', ''));

test('every end that a keeper can write is read back', () => {
  const end = fc.record<End>({
    how: fc.constantFrom('exited', 'signaled', 'not-started'),
    code: fc.nat(255),
    step: word,
    object: word,
    errno: word,
    cause: fc.constantFrom('', 'stop', 'timeout'),
    oomKills: count,
    memoryPeakBytes: count,
    cgroupsAsNew: fc.boolean(),
    cpuUsec: count,
    readBytes: count,
    writtenBytes: count,
    startedAtMs: fc.nat(),
    endedAtMs: fc.nat(),
    logBytes: count,
    droppedBytes: count,
    isHeld: fc.boolean(),
  });
  fc.assert(
    fc.property(end, (written) => {
      const pairs = [
        `how=${written.how}`,
        `code=${written.code}`,
        `step=${written.step}`,
        `object=${written.object}`,
        `errno=${written.errno}`,
        ...(written.cause === '' ? [] : [`cause=${written.cause}`]),
        `oom-kills=${written.oomKills}`,
        `memory-peak=${written.memoryPeakBytes}`,
        ...(written.cgroupsAsNew ? ['cgroups=as-new'] : []),
        `cpu-usec=${written.cpuUsec}`,
        `read-bytes=${written.readBytes}`,
        `written-bytes=${written.writtenBytes}`,
        `started-ns=${BigInt(written.startedAtMs) * 1_000_000n}`,
        `ended-ns=${BigInt(written.endedAtMs) * 1_000_000n}`,
        `log-bytes=${written.logBytes}`,
        `dropped-bytes=${written.droppedBytes}`,
        ...(written.isHeld ? ['held=ENOSPC'] : []),
      ];
      assert.deepEqual(parseEnd(parsePairs(pairs)), { ...written });
    }),
  );
});

test('an end with a number that is none is not believed', () => {
  for (const pair of [
    'code=',
    'code=-1',
    'code=1e3',
    'oom-kills=x',
    'log-bytes=1.5',
    'ended-ns= 1',
  ]) {
    assert.equal(parseEnd(parsePairs(['how=exited', 'code=0', pair])), undefined, pair);
  }
});

test('whatever stands in it, an end has whole numbers only', () => {
  const key = fc.constantFrom('how', 'code', 'oom-kills', 'started-ns', 'log-bytes', 'cause');
  const value = fc.oneof(fc.constantFrom('exited', 'stop', '9'.repeat(20)), fc.string());
  fc.assert(
    fc.property(fc.array(fc.tuple(key, value)), (pairs) => {
      const end = parseEnd(new Map([['how', 'signaled'], ...pairs]));
      for (const one of Object.values(end ?? {})) {
        assert.ok(typeof one !== 'number' || (Number.isSafeInteger(one) && one >= 0));
      }
    }),
  );
});
