// Who calls: what a certificate's subject gives is never more than the weakest of its roles, and a
// serial number that is revoked lets nobody in, however the list spells it.

import assert from 'node:assert/strict';
import { parseRevoked } from '../../../src/daemon/credentials.ts';
import { admit, type PeerFacts } from '../../../src/daemon/rpc/admission.ts';
import { refusal, rules } from '../../../src/daemon/rpc/roles.ts';
import { orRefused, target } from '../target.ts';

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const SERIAL = '0A1B2C';

const known = ['viewer', 'reader', 'developer', 'operator', 'maintainer', 'admin'];

/** The first line is the subject, as `CN=a, OU=b`; the rest is a list of what is revoked. */
function subjectOf(line: string): Record<string, string | string[]> {
  const subject: Record<string, string | string[]> = {};
  for (const part of line.split(', ')) {
    const at = part.indexOf('=');
    if (at < 0) continue;
    const [name, value] = [part.slice(0, at), part.slice(at + 1)];
    const before = Object.hasOwn(subject, name) ? [subject[name] ?? []].flat() : [];
    // As Node has it: one value is a text, several are a list.
    const values = before.length === 0 ? value : [...before, value];
    Object.defineProperty(subject, name, { value: values, enumerable: true, configurable: true });
  }
  return subject;
}

export default target({
  seeds: [
    'CN=ann, OU=admin, O=Joblet\n',
    'CN=ann, OU=admin, OU=viewer\n0A1B2D ann 2030-01-01\n',
    'CN=ann, OU= Developer \n# comment\n\n0a1b2c bob\n',
    'CN=a, CN=b, OU=root\n',
    'OU=operator',
    'CN=x\n0A1B2C',
  ],
  words: [
    'OU=',
    'CN=',
    ', ',
    'admin',
    'viewer',
    'developer',
    'operator',
    '__proto__=',
    SERIAL,
    '#',
    '\n',
  ],
  run(input) {
    const [line = '', ...rest] = input.toString().split('\n');
    const revoked = parseRevoked(rest.join('\n'));
    for (const serial of revoked) assert.equal(serial, serial.trim().toUpperCase());
    const subject = subjectOf(line);
    const certificate = {
      subject,
      serialNumber: SERIAL,
      ext_key_usage: [CLIENT_AUTH],
      valid_to: 'Jan 31 12:00:00 2040 GMT',
    };
    const peer = {
      authorized: true,
      authorizationError: null,
      certificate,
    } as unknown as PeerFacts;
    const admission = orRefused(() => admit(peer, revoked), 'unauthenticated');
    const isListed = rest.some((one) => one.trim().split(/\s/)[0]?.toUpperCase() === SERIAL);
    assert.equal(admission === undefined, isListed);
    if (admission === undefined) return;
    const units = Object.hasOwn(subject, 'OU') ? [subject['OU'] ?? []].flat() : [];
    const { caller } = admission;
    assert.deepEqual(caller.units, units);
    const areRoles = units.every((unit) => known.includes(unit.trim().toLowerCase()));
    assert.equal(caller.role !== undefined, units.length > 0 && areRoles);
    const allowed = [...rules.keys()].filter((path) => refusal(caller, path) === undefined);
    for (const unit of caller.role === undefined ? [] : units) {
      // No role of it may do less than it may.
      const alone = admit(
        { ...peer, certificate: { ...certificate, subject: { OU: unit } } } as unknown as PeerFacts,
        new Set(),
      );
      for (const path of allowed) assert.equal(refusal(alone.caller, path), undefined);
    }
    if (caller.role === undefined) assert.equal(allowed.length, 0);
    assert.ok(refusal(caller, line) !== undefined || rules.has(line));
  },
});
