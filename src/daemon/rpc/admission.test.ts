import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { admit, type PeerFacts, withdrawal } from './admission.ts';

const nobody: ReadonlySet<string> = new Set();

function peer(certificate: Record<string, unknown>, facts: Partial<PeerFacts> = {}): PeerFacts {
  return {
    authorized: true,
    authorizationError: null as unknown as Error,
    certificate: {
      serialNumber: 'AB12',
      subject: { CN: 'ann', OU: 'developer' },
      ext_key_usage: ['1.3.6.1.5.5.7.3.2'],
      valid_to: 'Jan  1 00:00:00 2100 GMT',
      ...certificate,
    } as PeerFacts['certificate'],
    ...facts,
  };
}

test('a good certificate gives name and role', () => {
  const { caller, serial } = admit(peer({}), nobody);
  assert.deepEqual(caller, { name: 'ann', role: 'developer', units: ['developer'] });
  assert.equal(serial, 'AB12');
});

test('of several roles in one certificate the weakest counts', () => {
  const { caller } = admit(peer({ subject: { CN: 'ann', OU: ['admin', 'viewer'] } }), nobody);
  assert.equal(caller.role, 'viewer');
});

test('a certificate without a unit, or with one that is no role, gives no role', () => {
  assert.equal(admit(peer({ subject: { CN: 'ann' } }), nobody).caller.role, undefined);
  const { caller } = admit(peer({ subject: { CN: 'ann', OU: 'janitor' } }), nobody);
  assert.deepEqual([caller.role, caller.units], [undefined, ['janitor']]);
});

test('S4-27: no certificate is refused in the words that clients know', () => {
  assert.throws(() => admit({ ...peer({}), certificate: {} }, nobody), {
    kind: 'unauthenticated',
    message: /^failed to extract client role: no TLS information found/,
  });
});

test('S4-29: a certificate that does not verify is refused with the reason', () => {
  const refused = (code: string) => ({
    ...peer({}),
    authorized: false,
    authorizationError: code as unknown as Error,
  });
  assert.throws(() => admit(refused('CERT_HAS_EXPIRED'), nobody), {
    kind: 'unauthenticated',
    message: 'certificate verify failed: certificate has expired',
  });
  assert.throws(() => admit(refused('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), nobody), {
    message: 'certificate verify failed: certificate signed by unknown authority',
  });
  assert.throws(() => admit(refused('SOMETHING_NEW'), nobody), {
    message: 'certificate verify failed: SOMETHING_NEW',
  });
});

test('a certificate that is for servers, or says nothing of its use, is refused', () => {
  for (const usage of [['1.3.6.1.5.5.7.3.1'], [], undefined]) {
    assert.throws(() => admit(peer({ ext_key_usage: usage }), nobody), {
      kind: 'unauthenticated',
      message: 'certificate verify failed: certificate is not for client use',
    });
  }
});

test('a revoked certificate is refused, also on a connection that stands', () => {
  const revoked = new Set(['AB12']);
  assert.throws(() => admit(peer({ serialNumber: 'ab12' }), revoked), {
    kind: 'unauthenticated',
    message: 'certificate verify failed: certificate revoked (ann, serial AB12)',
  });
  const admission = admit(peer({}), nobody);
  assert.equal(withdrawal(admission, Date.now(), nobody), undefined);
  assert.equal(withdrawal(admission, Date.now(), revoked)?.kind, 'unauthenticated');
});

test('a certificate that expires while its connection stands can call no more', () => {
  const admission = admit(peer({ valid_to: 'Jan  1 00:00:00 2030 GMT' }), nobody);
  const expiry = Date.parse('2030-01-01T00:00:00Z');
  assert.equal(withdrawal(admission, expiry - 1, nobody), undefined);
  assert.match(withdrawal(admission, expiry, nobody)?.message ?? '', /expired/);
  const odd = admit(peer({ valid_to: 'no date' }), nobody);
  assert.match(withdrawal(odd, 0, nobody)?.message ?? '', /expired/);
});

test('whatever units a certificate has, it gives a role only if each of them is one', () => {
  const unit = fc.oneof(fc.constantFrom('viewer', 'Admin', ' developer ', 'operator'), fc.string());
  fc.assert(
    fc.property(fc.array(unit), (OU) => {
      const { caller } = admit(peer({ subject: { CN: 'ann', OU } }), nobody);
      const roles = OU.filter((word) =>
        /^\s*(viewer|admin|developer|operator|reader|maintainer)\s*$/i.test(word),
      );
      assert.equal(caller.role !== undefined, OU.length > 0 && roles.length === OU.length);
    }),
  );
});
