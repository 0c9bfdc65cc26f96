// S2-7, S4-57: what scripts and pages have always read of a node.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import {
  SystemMetricsResponseSchema,
  SystemStatusResponseSchema,
} from '../gen/joblet/monitoring_pb.ts';
import { monitorJson } from './monitor-json.ts';

/** As a script gets it. */
const read = (look: object) => JSON.parse(JSON.stringify(look));

test('the state of a node is told in its known groups, in numbers, zeros too', () => {
  const told = read(
    monitorJson(
      create(SystemStatusResponseSchema, {
        available: true,
        host: { hostname: 'vm', architecture: 'amd64', totalMemory: 4_000_000_000n },
        cpu: { cores: 2, usagePercent: 15, perCoreUsage: [10, 20] },
        memory: { totalBytes: 4000n, usedBytes: 1000n, swapTotal: 200n, swapUsed: 50n },
        disks: [
          { device: '/dev/vda', mountPoint: '/', filesystem: 'ext4', totalBytes: 100n },
          {
            device: '/dev/loop0',
            mountPoint: '/v/data/mount',
            filesystem: 'joblet-volume',
            totalBytes: 10n,
            usedBytes: 1n,
          },
        ],
        networks: [{ interface: 'eth0', bytesReceived: 7n }],
        processes: { totalProcesses: 3, topByCpu: [{ pid: 1, cpuPercent: 2.5 }] },
        cloud: { provider: 'AWS', region: 'eu-west-1' },
        serverVersion: { version: '1.0.0' },
      }),
    ),
  );
  assert.equal(told.available, true);
  assert.deepEqual(
    [told.hostInfo.arch, told.hostInfo.totalMemory, told.hostInfo.cloudProvider],
    ['amd64', 4_000_000_000, 'AWS'],
  );
  assert.deepEqual([told.cpuInfo.usage, told.cpuInfo.perCoreUsage], [0.15, [0.1, 0.2]]);
  assert.equal(told.cpuInfo.ioWaitTime, 0);
  assert.deepEqual(told.memoryInfo.swap, { total: 200, used: 50, percent: 25 });
  assert.deepEqual(
    told.disksInfo.disks.map((disk: { name: string; size: number }) => [disk.name, disk.size]),
    [
      ['/dev/vda', 100],
      ['data', 10],
    ],
  );
  assert.deepEqual([told.disksInfo.totalSpace, told.disksInfo.usedSpace], [110, 1]);
  assert.deepEqual([told.networkInfo.interfaces[0].rxBytes, told.networkInfo.totalRxBytes], [7, 7]);
  assert.deepEqual(
    [told.processesInfo.totalProcesses, told.processesInfo.processes[0].cpu],
    [3, 2.5],
  );
  assert.equal(told.serverVersion.version, '1.0.0');
});

test('a look holds the groups that were asked for and no others', () => {
  const look = create(SystemMetricsResponseSchema, { timestamp: 'now', cpu: { cores: 1 } });
  assert.deepEqual(Object.keys(read(monitorJson(look))), ['timestamp', 'cpuInfo']);
});
