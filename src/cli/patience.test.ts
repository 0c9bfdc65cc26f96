import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Unreached } from '../client/connection-error.ts';
import { Away, errorOfStatus } from '../client/status.ts';
import { JobletError, STOPPING } from '../shared/errors.ts';
import { fakeOutput } from './output-fake.ts';
import { Patience } from './patience.ts';

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
