import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { SystemMetricsResponseSchema } from '../gen/joblet/monitoring_pb.ts';
import { type Choice, choose, screen } from './monitor-screen.ts';

const first: Choice = { view: 'jobs', order: 'cpu', skipped: 0, isPaused: false };

const job = (uuid: string, cpuPercent: number, memoryBytes: bigint, name: string) => ({
  uuid,
  name,
  command: 'python3 train.py',
  cpuPercent,
  memoryBytes,
  memoryLimitBytes: 512n << 20n,
  tasks: 3,
  startTime: new Date(Date.now() - 65_000).toISOString(),
});

const metrics = create(SystemMetricsResponseSchema, {
  timestamp: '2026-11-26T10:30:00Z',
  host: { hostname: 'build-1', uptime: 3700n },
  cpu: { usagePercent: 50, userTime: 40, systemTime: 10, loadAverage: [1, 0.5, 0.25] },
  memory: { usagePercent: 25, usedBytes: 1n << 30n, totalBytes: 4n << 30n },
  processes: {
    totalProcesses: 200,
    runningProcesses: 2,
    totalThreads: 400,
    topByCpu: [{ pid: 7, user: 'root', name: 'node', command: 'node main.ts', cpuPercent: 12 }],
    topByMemory: [{ pid: 9, user: 'sql', name: 'sql', command: 'sql', memoryBytes: 5n << 20n }],
  },
  jobs: [job('aaaaaaaa-1', 5, 64n << 20n, 'small'), job('bbbbbbbb-2', 95, 1n << 20n, 'busy')],
});

test('the screen shows the node, then its jobs, the busiest first', () => {
  const lines = screen(metrics, first, { columns: 80, rows: 24 });
  assert.equal(lines.length, 24);
  assert.match(lines[0] ?? '', /^build-1 {2}up 1h 1m {2}load 1\.00 0\.50 0\.25/);
  assert.match(lines[1] ?? '', /^CPU {4}\[##########\.{10}\] {2}50\.0%/);
  assert.match(lines[4] ?? '', /^Jobs {3}2 running {3}200 processes/);
  assert.match(lines[7] ?? '', /^bbbbbbbb {3}95\.0 +1 MB +512 MB +3 +1m 5s {2}busy: python3 train/);
  assert.match(lines[8] ?? '', /^aaaaaaaa/);
  assert.match(lines[23] ?? '', /^q quit {2}Tab processes/);
});

test('keys sort, scroll, pause and go to the processes', () => {
  const byMemory = choose(first, 'm') as Choice;
  assert.match(screen(metrics, byMemory, { columns: 80, rows: 24 })[7] ?? '', /^aaaaaaaa/);
  const byName = choose(first, 'n') as Choice;
  assert.match(screen(metrics, byName, { columns: 80, rows: 24 })[7] ?? '', /^bbbbbbbb/);
  const processes = choose(first, '\t') as Choice;
  assert.match(screen(metrics, processes, { columns: 80, rows: 24 })[7] ?? '', /^ {6}7 root/);
  const scrolled = choose(first, '\u001b[B') as Choice;
  assert.match(screen(metrics, scrolled, { columns: 80, rows: 9 })[7] ?? '', /^aaaaaaaa/);
  assert.match(
    screen(metrics, choose(first, ' ') as Choice, { columns: 80, rows: 24 })[0] ?? '',
    /PAUSED/,
  );
  assert.equal(choose(first, 'q'), 'quit');
  assert.equal(choose(first, 'x'), undefined);
});

test('whatever a terminal measures, and whatever jobs are called, the screen fits it', () => {
  const sizes = fc.record({
    columns: fc.integer({ min: 20, max: 250 }),
    rows: fc.integer({ min: 9, max: 80 }),
  });
  fc.assert(
    fc.property(sizes, fc.string({ unit: 'binary' }), fc.nat(30), (size, name, count) => {
      const jobs = Array.from({ length: count }, (_, at) =>
        job(`${at}`.padStart(8, '0'), at, 1n, name),
      );
      const shown = screen(
        { ...metrics, jobs: create(SystemMetricsResponseSchema, { jobs }).jobs },
        { ...first, skipped: 3 },
        size,
      );
      assert.equal(shown.length, size.rows);
      for (const line of shown) {
        const text = line.replace('\u001b[7m', '').replace('\u001b[0m', '');
        assert.ok(text.length <= size.columns);
        assert.ok(!text.includes('\u001b') && !text.includes('\n'));
      }
    }),
  );
});
