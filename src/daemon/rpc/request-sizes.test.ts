import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maxRequestBytes } from './request-sizes.ts';
import { rules } from './roles.ts';

const MOST = 128 << 20;

test('a big request is for those who may change something, and for methods that there are', () => {
  for (const [path, { role }] of rules) {
    const bytes = maxRequestBytes(path, MOST);
    if (role === 'viewer') assert.equal(bytes, 1 << 20, path);
  }
  const big = [...rules.keys()].filter((path) => maxRequestBytes(path, MOST) === MOST);
  assert.equal(big.length, 8);
  assert.equal(maxRequestBytes('/joblet.JobService/ListJobs', 4096), 4096);
});
