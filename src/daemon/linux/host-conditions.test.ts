import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JobletError } from '../../shared/errors.ts';
import {
  type Conditions,
  RIGHTS,
  requireConditions,
  requireRights,
  uncountedMemory,
} from './host-conditions.ts';

const good: Conditions = {
  capabilities: RIGHTS,
  commandLine: 'console=ttyS0 quiet',
  hasSwap: false,
  panicOnOom: 0,
};

function refusal(conditions: Partial<Conditions>, swap = true): string {
  try {
    requireRights({ ...good, ...conditions });
    requireConditions({ ...good, ...conditions }, { swap });
    return '';
  } catch (error) {
    assert.ok(error instanceof JobletError && error.kind === 'unsupported');
    return error.message;
  }
}

test('a host that would make every job weaker is refused, with everything that is wrong', () => {
  assert.equal(refusal({}), '');
  assert.match(refusal({ commandLine: 'quiet cgroup.memory=nosocket,nokmem' }), /nosocket/);
  const both = refusal({ panicOnOom: 2, hasSwap: true }, false);
  assert.match(both, /vm\.panic_on_oom/);
  assert.match(both, /swapoff -a/);
});

test('a daemon without the rights of root says so, and which it lacks when it has others', () => {
  assert.match(refusal({ capabilities: RIGHTS.slice(1) }), /lacks CAP_CHOWN, without/);
  assert.match(refusal({ capabilities: [] }), /lacks the rights of root, .* run it as root/);
});

test('swap that is counted, and no swap at all, are both well', () => {
  assert.equal(refusal({ hasSwap: true }), '');
  assert.equal(refusal({ hasSwap: false }, false), '');
});

test('what is left out of the limits is read off the kernel’s command line', () => {
  assert.equal(
    uncountedMemory({ commandLine: 'a cgroup.memory=nokmem b' }),
    'cgroup.memory=nokmem',
  );
  assert.equal(uncountedMemory({ commandLine: 'cgroup.memory=nobpf' }), undefined);
});
