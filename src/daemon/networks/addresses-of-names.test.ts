import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPublic } from './addresses-of-names.ts';

test('a name of the world opens no address of somebody’s own network', () => {
  for (const inner of [
    ...['127.0.0.1', '10.1.2.3', '172.31.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1'],
    ...['0.0.0.0', '239.1.1.1', '::1', '::ffff:10.0.0.1', 'fd00::1', 'fe80::1', '64:ff9b::a00:1'],
  ]) {
    assert.equal(isPublic(inner), false, inner);
  }
  for (const outer of ['192.0.2.2', '8.8.8.8', '2001:db8::1', '2606:4700::1111']) {
    assert.equal(isPublic(outer), true, outer);
  }
});
