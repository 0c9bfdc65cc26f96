import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { deviceName, makeWorkImage, removeWorkImage } from './work-image.ts';

const skip = process.getuid?.() === 0 ? false : 'mounting needs root';

test('device numbers are written as the kernel writes them', () => {
  assert.equal(deviceName(0x0702), '7:2');
  assert.equal(deviceName(0xfe00), '254:0');
  // The 300th loop device: its minor number needs more than eight bits.
  assert.equal(deviceName((0x1 << 20) | 0x072c), '7:300');
});

test('a work directory is removed wherever its making was cut off', { skip }, async (t) => {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'joblet-work-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const nothing = () => {};
  const cutOff = [
    nothing,
    (id: string) => mkdirSync(path.join(directory, id)),
    (id: string) => {
      mkdirSync(path.join(directory, id));
      writeFileSync(path.join(directory, `${id}.img`), '');
    },
    async (id: string) => {
      const files = mkdtempSync(path.join(os.tmpdir(), 'joblet-files-'));
      await makeWorkImage(directory, id, 8 << 20, files, false);
      rmSync(files, { recursive: true });
    },
  ];
  for (const [at, make] of cutOff.entries()) {
    await make(`job-${at}`);
    await removeWorkImage(directory, `job-${at}`);
    assert.deepEqual(readdirSync(directory), []);
  }
  assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(directory));
});
