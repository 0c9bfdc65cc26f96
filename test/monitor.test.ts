// How a node does, as the API and rnx say it, beside what the kernel says of this very host.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statfsSync } from 'node:fs';
import { cpus, hostname, totalmem } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { generated } from '../src/client/generated.ts';
import { stopJob } from '../src/client/methods.ts';
import { MonitoringService } from '../src/gen/joblet/monitoring_pb.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, finish, python, shell, start } from './job-calls.ts';
import { runRnx } from './rnx.ts';

const skip = cannotRun();
const getSystemStatus = generated(MonitoringService.method.getSystemStatus);
const streamSystemMetrics = generated(MonitoringService.method.streamSystemMetrics);

let daemon: Daemon;
/** A look may be one that somebody else had a moment ago. */
let atFirst: ReturnType<typeof counted>;

before(async () => {
  if (skip !== false) return;
  atFirst = counted();
  daemon = await startDaemon();
});

after(async () => {
  await daemon?.stop();
});

test('a status says what this host is and how it does (S2-7, S4-57)', { skip }, async () => {
  const status = await daemon.as('viewer').unary(getSystemStatus, {});
  assert.equal(status.available, true);
  assert.equal(status.host?.hostname, hostname());
  assert.equal(status.host?.cpuCount, cpus().length);
  assert.equal(Number(status.host?.totalMemory), totalmem());
  const { cpu, memory, processes } = status;
  assert.ok(cpu && memory && processes);
  const parts = cpu.userTime + cpu.systemTime + cpu.idleTime + cpu.ioWaitTime + cpu.stealTime;
  assert.ok(Math.abs(parts - 100) < 0.01);
  assert.equal(cpu.perCoreUsage.length, cpus().length);
  assert.ok(memory.usedBytes + memory.availableBytes === memory.totalBytes);
  assert.ok(status.networks.some((each) => each.interface === 'lo'));
  assert.ok(processes.topByCpu.length === 10 && processes.topByMemory.length === 10);
  assert.equal(status.serverVersion?.component, 'joblet');
  const booted = Number(/btime (\d+)/.exec(readFileSync('/proc/stat', 'utf8'))?.[1]);
  assert.equal(Date.parse(status.host?.bootTime ?? ''), booted * 1000);
});

test('what is said of disks, interfaces, memory and processes is what the kernel counts (S4-59)', {
  skip,
}, async () => {
  const status = await daemon.as('viewer').unary(getSystemStatus, {});
  const after = counted();
  const lo = status.networks.find((each) => each.interface === 'lo');
  const said = {
    received: Number(lo?.bytesReceived),
    sent: Number(lo?.bytesSent),
    writes: Number(status.io?.totalWrites),
    written: Number(status.io?.writeBytes),
  };
  for (const [key, value] of Object.entries(said)) {
    const [least, most] = [atFirst, after].map((each) => each[key as keyof typeof said]);
    assert.ok(least !== undefined && most !== undefined);
    assert.ok(least <= value && value <= most, `${key}: ${least} <= ${value} <= ${most}`);
  }
  assert.equal(Number(status.memory?.totalBytes), totalmem());
  assert.ok(status.disks.length > 0);
  // Those of other tests come and go.
  const lasting = status.disks.filter(({ mountPoint }) => !mountPoint.includes('/joblet-'));
  for (const { mountPoint, totalBytes, inodesTotal } of lasting) {
    const { blocks, bsize, files } = statfsSync(mountPoint);
    assert.equal(Number(totalBytes), blocks * bsize);
    assert.equal(Number(inodesTotal), files);
  }
  const { processes } = status;
  assert.ok(processes);
  const { runningProcesses, sleepingProcesses, stoppedProcesses, zombieProcesses } = processes;
  const known = runningProcesses + sleepingProcesses + stoppedProcesses + zombieProcesses;
  // One that is just going is in none of these states.
  assert.ok(known <= processes.totalProcesses && known >= processes.totalProcesses - 5);
  assert.ok(processes.totalThreads >= processes.totalProcesses);
});

/** What the kernel has counted by now. */
function counted() {
  const read = (file: string) => Number(readFileSync(file, 'utf8'));
  const disks = readdirSync('/sys/block').filter(
    (name) => !/^(loop|ram|zram|fd|sr|dm-|md)\d/.test(name),
  );
  const stats = disks.map((name) =>
    readFileSync(`/sys/block/${name}/stat`, 'utf8').trim().split(/\s+/).map(Number),
  );
  const sum = (column: number) => stats.reduce((total, each) => total + (each[column] ?? 0), 0);
  return {
    received: read('/sys/class/net/lo/statistics/rx_bytes'),
    sent: read('/sys/class/net/lo/statistics/tx_bytes'),
    writes: sum(4),
    written: sum(6) * 512,
  };
}

test('a watcher gets what it asked for, and jobs only by name', { skip }, async () => {
  const watch = daemon
    .as('viewer')
    .serverStream(streamSystemMetrics, { intervalSeconds: 1, metricTypes: ['cpu', 'disks'] });
  for await (const metrics of watch) {
    assert.ok(metrics.cpu !== undefined && metrics.host === undefined);
    assert.ok(metrics.memory === undefined && metrics.jobs.length === 0);
    break;
  }
  const wrong = daemon.as('viewer').serverStream(streamSystemMetrics, { metricTypes: ['wetter'] });
  await assert.rejects(async () => {
    for await (const _ of wrong) break;
  }, /"wetter" is no kind of metric; there is host, cpu/);
});

test('a job that burns a core is seen to do so, by itself and among the processes', {
  skip,
}, async () => {
  const api = daemon.as('admin');
  const burner = python('while True: pass', { maxCpu: 50, name: 'burner' });
  const uuid = await start(api, burner);
  const request = { intervalSeconds: 1, metricTypes: ['job', 'process'] };
  let looks = 0;
  for await (const { jobs, processes } of api.serverStream(streamSystemMetrics, request)) {
    if (++looks < 3) continue;
    const [job, ...others] = jobs;
    assert.deepEqual(others, []);
    assert.equal(job?.uuid, uuid);
    assert.equal(job?.name, 'burner');
    // It has half a core at most, and on a busy machine less.
    assert.ok(job.cpuPercent > 5 && job.cpuPercent < 56, `${job.cpuPercent} %`);
    assert.ok(job.memoryBytes > 1_000_000n && job.tasks === 2);
    assert.ok(processes?.topByCpu.some(({ command }) => command.includes('while True: pass')));
    break;
  }
  await api.unary(stopJob, { uuid, force: true });
  await ended(api, uuid);
});

/** Lines of the guides that begin with a command, without what goes on for ever. */
function commandsOf(guide: string): string[] {
  const text = readFileSync(path.join(import.meta.dirname, '../docs/guide', guide), 'utf8');
  const lines = [...text.matchAll(/^(?:\$ )?rnx (\S+(?: \S+)*)/gm)].map(([, line = '']) => line);
  return lines
    .map((line) => line.split(/ {2,}/)[0] ?? '')
    .filter((line) => !/--follow|monitor watch/.test(line));
}

test('the commands of the guides to metrics, monitoring and events do what they say (S3-11)', {
  skip,
}, async () => {
  const { job } = await finish(daemon.as('admin'), shell('echo done', { name: 'data' }));
  const lines = ['metrics.md', 'monitoring.md', 'events.md'].flatMap(commandsOf);
  assert.ok(lines.length >= 8, lines.join());
  const all = await Promise.all(
    lines.map((line) => {
      const words = line.replaceAll('f47ac10b', job.uuid).replace('5120', '1').split(' ');
      return runRnx(daemon, 'viewer', ...words);
    }),
  );
  for (const [at, { code, out, err }] of all.entries()) {
    assert.equal(code, 0, `${lines[at]}: ${err}`);
    assert.ok(out !== '' && err === '', `${lines[at]}: ${err}`);
  }
});
