import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JobletError } from '../../shared/errors.ts';
import { type Conditions, RIGHTS, requireConditions, uncountedMemory } from './host-conditions.ts';

const good: Conditions = {
  capabilities: RIGHTS,
  commandLine: 'console=ttyS0 quiet',
  hasSwap: false,
  panicOnOom: 0,
};

function refusal(conditions: Partial<Conditions>, swap = true): string {
  try {
    requireConditions({ ...good, ...conditions }, { swap });
    return '';
  } catch (error) {
    assert.ok(error instanceof JobletError && error.kind === 'unsupported');
    return error.message;
  }
}

test('a host that would make every job weaker is refused, with everything that is wrong', () => {
  assert.equal(refusal({}), '');
  assert.match(refusal({ capabilities: RIGHTS.slice(1) }), /lacks CAP_CHOWN;/);
  assert.match(refusal({ commandLine: 'quiet cgroup.memory=nosocket,nokmem' }), /nosocket/);
  assert.match(refusal({ panicOnOom: 2 }), /vm\.panic_on_oom/);
  const both = refusal({ capabilities: [], hasSwap: true }, false);
  assert.match(both, /CAP_SYS_ADMIN/);
  assert.match(both, /swapoff -a/);
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
