import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceName } from './work-image.ts';

test('device numbers are written as the kernel writes them', () => {
  assert.equal(deviceName(0x0702), '7:2');
  assert.equal(deviceName(0xfe00), '254:0');
  // The 300th loop device: its minor number needs more than eight bits.
  assert.equal(deviceName((0x1 << 20) | 0x072c), '7:300');
});
