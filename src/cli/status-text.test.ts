import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { GetJobStatusResponse, type JobDetail } from '../client/messages.ts';
import { decode } from '../client/wire.ts';
import { statusJson, statusLines } from './job-status.ts';
import { fakeOutput } from './output-fake.ts';
import { statusText } from './status-text.ts';

before(() => {
  process.env['TZ'] = 'UTC';
});

function job(given: Partial<JobDetail>): JobDetail {
  return { ...decode(GetJobStatusResponse, Buffer.alloc(0)), ...given };
}

const ended = job({
  uuid: 'f47ac10b-58cc-4372-a567-0e02b2c3d479',
  name: 'build',
  nodeId: 'n1',
  command: 'python3',
  args: ['script.py'],
  status: 'FAILED',
  createdTime: '2026-01-15T10:29:59Z',
  startTime: '2026-01-15T10:30:00Z',
  endTime: '2026-01-15T10:31:05Z',
  maxCpu: 50,
  maxMemory: 256,
  maxIoBps: 1000,
  cpuCores: '0-1',
  exitCode: -1,
  reason: 'OOM_KILLED',
  message: 'the job needed more than its memory limit of 256 MB',
  environment: { A: 'b' },
  secretEnvironment: { TOKEN: '***' },
  network: 'isolated',
  volumes: ['data:/data:ro'],
  runtime: 'python-3.11',
  workDir: '/work',
  uploads: ['script.py'],
  workflowUuid: 'w1',
  dependencies: ['setup'],
  memoryPeakBytes: 268_435_456n,
});

test('status has its sections in their order', () => {
  assert.equal(
    statusText(ended, 0, fakeOutput({})),
    `Job ID: f47ac10b-58cc-4372-a567-0e02b2c3d479
Job Name: build
Node ID: n1
Command: python3 script.py
Status: FAILED

Timing:
  Created: 2026-01-15 10:29:59
  Started: 2026-01-15 10:30:00
  Ended: 2026-01-15 10:31:05
  Duration: 1m 5s

Resource Limits:
  Max CPU: 50%
  Max Memory: 256 MB
  Max IO: 1000 bytes/s
  CPU Cores: 0-1

Runtime Environment:
  Runtime: python-3.11

Network Configuration:
  Network: isolated

Volumes:
  data:/data:ro

Working Directory:
  Path: /work

Uploaded Files:
  script.py

Workflow Information:
  Workflow: w1
  Dependencies: setup

Environment Variables:
  A=b
  TOKEN=*** (secret)

Result:
  Exit Code: -1
  Reason: OOM_KILLED
  Message: the job needed more than its memory limit of 256 MB
  Peak Memory: 256 MB

Available Actions:
  rnx job log f47ac10b-58cc-4372-a567-0e02b2c3d479
  rnx job delete f47ac10b-58cc-4372-a567-0e02b2c3d479
`,
  );
});

test('a scheduled job says when it will run, and how to take it back', () => {
  const scheduled = job({ uuid: 'x', status: 'SCHEDULED', scheduledTime: '2026-01-15T11:00:00Z' });
  const text = statusText(scheduled, Date.parse('2026-01-15T10:30:00Z'), fakeOutput({}));
  assert.match(
    text,
    /Scheduling Information:\n {2}Scheduled Time: 2026-01-15 11:00:00\n {2}Time Until Execution: 30m\n/,
  );
  assert.match(text, /Available Actions:\n {2}rnx job cancel x\n$/);
  const late = statusText(scheduled, Date.parse('2026-01-15T11:00:01Z'), fakeOutput({}));
  assert.match(late, /Due now \(waiting for execution\)/);
});

test('a running job says for how long, a waiting one for what', () => {
  const running = job({ status: 'RUNNING', startTime: '2026-01-15T10:30:00Z' });
  const text = statusText(running, Date.parse('2026-01-15T10:30:04.2Z'), fakeOutput({}));
  assert.match(text, /Running For: 4\.2s/);
  const waiting = job({ status: 'PENDING', waitsFor: 'a free place' });
  assert.match(statusText(waiting, 0, fakeOutput({})), /Status: PENDING\nWaiting: a free place\n/);
});

test('S4-12 the older spelling prints its own lines', () => {
  assert.equal(
    statusLines(ended),
    `Id: f47ac10b-58cc-4372-a567-0e02b2c3d479
Command: python3 script.py
Status: FAILED
Started At: 2026-01-15T10:30:00Z
Ended At: 2026-01-15T10:31:05Z
MaxCPU: 50
MaxMemory: 256
MaxIOBPS: 1000
ExitCode: -1
`,
  );
});

test('for programs the published keys are always there, limits only when they are set', () => {
  const always = [
    ...['uuid', 'name', 'nodeId', 'command', 'args', 'status', 'startTime', 'endTime', 'exitCode'],
    ...['scheduledTime', 'environment', 'secretEnvironment', 'network', 'volumes', 'runtime'],
    ...['workDir', 'uploads', 'dependencies', 'workflowUuid'],
  ];
  const limits = ['maxCPU', 'maxMemory', 'maxIOBPS', 'cpuCores'];
  const empty = Object.keys(statusJson(job({})));
  for (const key of always) assert.ok(empty.includes(key), key);
  for (const key of limits) assert.ok(!empty.includes(key), key);
  const full = Object.keys(JSON.parse(JSON.stringify(statusJson(ended))));
  for (const key of limits) assert.ok(full.includes(key), key);
});

test('nothing of a job acts on the terminal', () => {
  const evil = '\u001b]0;x\u0007';
  const text = statusText(
    job({
      name: evil,
      command: evil,
      message: evil,
      status: 'FAILED',
      environment: { [evil]: evil },
    }),
    0,
    fakeOutput({ terminal: true, color: false }),
  );
  assert.doesNotMatch(text, /[^\P{Cc}\n]/u);
});

test('a posture fits on a terminal, and what the kernel does not confirm stands out', () => {
  const posture = {
    namespaces: ['mount', 'pid'],
    firstId: 1048576,
    idCount: 65536,
    capabilities: [],
    noNewPrivs: true,
    filter: 'standard',
    opened: [],
    root: 'host',
    readOnly: ['/usr', '/bin', '/etc/alternatives', '/etc/ssl/certs', '/etc/ssl/openssl.cnf', '/x'],
    writable: [{ path: '/work', bytes: 1_048_576n, kind: 'memory' }],
    limits: ['memory 64 MB, swap included (cgroup v2)'],
    network: 'none (loopback only)',
    init: 'the command itself',
    startedBy: 'joblet 1.0.0',
    gpus: ['0 (GPU-1)'],
    kernel: { pid: 77, confirmed: ['capabilities'], deviations: ['read-only root: \u001b[31m'] },
  };
  const text = statusText(job({ posture }), 0, fakeOutput({}));
  const lines = text.slice(text.indexOf('Posture:')).split('\n');
  assert.deepEqual(lines.slice(0, 12), [
    'Posture:',
    '  Ids: 0 to 65535 are 1048576 to 1114111 on the host',
    '  Namespaces Of Its Own: mount, pid',
    '  Capabilities: none',
    '  No New Privileges: yes',
    '  System Call Filter: standard',
    '  Process 1: the command itself',
    '  Network: none (loopback only)',
    '  Root: host',
    '  Of The Host, Read-only: /usr, /bin, /etc/alternatives, /etc/ssl/certs,',
    '    /etc/ssl/openssl.cnf, /x',
    '  Can Write: /work (1 MB, memory)',
  ]);
  assert.ok(lines.includes('  GPUs: 0 (GPU-1)'));
  assert.ok(lines.includes('  Kernel, Asked Now Of Process 77: capabilities'));
  assert.ok(lines.includes('  NOT AS IT SHOULD BE: read-only root: \\x1b[31m'));
});

test('of very many uploads the first are named', () => {
  const text = statusText({ ...ended, uploadCount: 100 }, 0, fakeOutput({}));
  assert.match(text, /Uploaded Files:\n {2}script\.py\n {2}\.\.\. and 99 more\n/);
});
