import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  parseCpuTicks,
  parseDiskMounts,
  parseDisks,
  parseMemory,
  parseProcess,
  parseRelease,
  readHostUsage,
} from './host-usage.ts';

test('ticks are those of all cores, and of each', () => {
  const text = 'cpu  10 1 5 100 7 1 2 3 0 0\ncpu0 5 0 2 50 3 0 1 1 0 0\nintr 12 13\nctxt 9\n';
  assert.deepEqual(parseCpuTicks(text), {
    total: { user: 11, system: 8, idle: 100, ioWait: 7, steal: 3 },
    cores: [{ user: 5, system: 3, idle: 50, ioWait: 3, steal: 1 }],
  });
});

test('disks are counted in bytes and milliseconds, partitions left out', () => {
  const text =
    ' 254 0 vda 10 1 80 5 20 2 160 6 0 11 12 0 0 0 0\n 254 1 vda1 1 1 8 5 2 2 16 6 0 1 2 0 0 0 0\n';
  assert.deepEqual(
    parseDisks(text, (name) => name === 'vda'),
    {
      vda: {
        reads: 10,
        readBytes: 40_960,
        readMs: 5,
        writes: 20,
        writeBytes: 81_920,
        writeMs: 6,
        busyMs: 11,
      },
    },
  );
});

test('a file system that is mounted in several places is one', () => {
  const text =
    '21 1 254:0 / / rw - ext4 /dev/vda rw\n22 21 254:0 /home /mnt rw - ext4 /dev/vda rw\n' +
    '23 21 0:5 / /dev rw - devtmpfs devtmpfs rw\n24 21 7:0 / /a\\040b rw - ext4 /dev/loop0 rw\n';
  assert.deepEqual(
    parseDiskMounts(text).map(({ mountPoint }) => mountPoint),
    ['/', '/a b'],
  );
});

test('a process is read whatever its name is', () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(), fc.nat(), (name, pid, parent) => {
      const numbers = Array.from({ length: 48 }, (_, at) => at + 5).join(' ');
      const found = parseProcess(`${pid} (${name}) S ${parent} ${numbers}\n`);
      assert.deepEqual(found, {
        pid,
        parent,
        name,
        state: 'S',
        ticks: 14 + 15,
        threads: 20,
        startedTicks: 22,
        residentBytes: 24 * 4096,
      });
    }),
  );
  assert.equal(parseProcess(''), undefined);
});

test('memory and releases are read by their names', () => {
  assert.equal(parseMemory('MemTotal:  100 kB\nHugePages_Total:  3\n').get('MemTotal'), 102_400);
  assert.equal(parseRelease('ID=debian\nVERSION_ID="12"\n').get('VERSION_ID'), '12');
});

test('this host is read, with this very process in it', async () => {
  const usage = await readHostUsage();
  assert.ok(usage.cores.length > 0 && (usage.memory.get('MemTotal') ?? 0) > 0);
  assert.ok(
    usage.fileSystems.some(({ mountPoint }) => mountPoint === '/') ||
      usage.fileSystems.length === 0,
  );
  const own = usage.processes.find(({ pid }) => pid === process.pid);
  assert.equal(own?.parent, process.ppid);
  assert.ok((own?.residentBytes ?? 0) > 1 << 20);
});
