import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Unreached } from '../client/connection-error.ts';
import { Away, errorOfStatus } from '../client/status.ts';
import { JobletError, STOPPING } from '../shared/errors.ts';
import { fakeOutput } from './output-fake.ts';
import { goingOn, Patience, whenBack } from './patience.ts';

const UNAVAILABLE = '14';
const AWAY = 'rnx: the daemon is away; waiting for it\n';

test('what a daemon says cannot be done is thrown at once; one that is away, or stops, is waited for', async () => {
  const err = fakeOutput({});
  const patience = new Patience(err, undefined);
  const said = [
    errorOfStatus(UNAVAILABLE, 'the log cannot be read from the archive'),
    errorOfStatus(UNAVAILABLE, ''),
    new JobletError('unavailable', 'the answer makes no sense'),
  ];
  for (const error of said) await assert.rejects(patience.bear(error), error);
  assert.equal(err.text(), '');
  await patience.bear(errorOfStatus(UNAVAILABLE, STOPPING));
  await patience.bear(new Away('the connection was closed'));
  await patience.bear(new Unreached('nobody listens there'));
  assert.equal(err.text(), AWAY);
});

/** A clock that stands, and waits that are over at once and only move it. */
function fakeClock(t: TestContext): { nowMs: number } {
  const clock = { nowMs: 0 };
  t.mock.method(performance, 'now', () => clock.nowMs);
  t.mock.method(globalThis, 'setTimeout', (done: () => void, ms: number) => {
    clock.nowMs += ms;
    setImmediate(done);
  });
  return clock;
}

const refused = new Unreached('nobody listens there');

test('a daemon that stays away is waited for for a minute, and a stream that says nothing outlives many restarts', async (t) => {
  const clock = fakeClock(t);
  const err = fakeOutput({});
  const patience = new Patience(err, undefined);
  patience.met();
  let restarts = 0;
  let tries = 0;
  const quiet = async () => {
    tries += 1;
    if (tries < 5) throw refused;
    if (restarts === 3) return 'ended';
    // It is there again, and says nothing until it goes once more.
    clock.nowMs += 70_000;
    [restarts, tries] = [restarts + 1, 0];
    throw new Away('the connection was closed');
  };
  assert.equal(await whenBack(patience, quiet), 'ended');
  assert.equal(err.text(), AWAY.repeat(4));

  const beganMs = clock.nowMs + 100_000;
  clock.nowMs = beganMs;
  const gone = async () => {
    // Nobody answers within the time for connecting.
    clock.nowMs += 10_000;
    throw refused;
  };
  await assert.rejects(whenBack(patience, gone), refused);
  const awayMs = clock.nowMs - beganMs;
  assert.ok(awayMs > 60_000 && awayMs < 90_000, `${awayMs}`);
});

test('what was heard counts as met: after it a refused connection is waited for, and before it not', async () => {
  const patience = new Patience(fakeOutput({}), undefined);
  await assert.rejects(patience.bear(refused), refused);
  let opened = 0;
  const open = async function* () {
    opened += 1;
    if (opened === 2) throw refused;
    yield opened;
    if (opened === 1) throw refused;
  };
  const got: number[] = [];
  for await (const each of goingOn(patience, open)) got.push(each);
  assert.deepEqual(got, [1, 3]);
});
