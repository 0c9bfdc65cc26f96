// What Prometheus reads of a real daemon.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { createVolume, getServerVersion, runJob } from '../src/client/methods.ts';
import { type Format, formatMetrics } from '../src/daemon/telemetry/exposition.ts';
import { readExposition, type Series } from './exposition-reader.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { finish, shell, start } from './job-calls.ts';
import { get } from './web-client.ts';

const skip = cannotRun();

let daemon: Daemon;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon({
    web: { enabled: true, port: 0 },
    joblet: { maxConcurrentJobs: 1 },
    logs: { quotaBytes: 64 * 1024 },
  });
});

after(async () => {
  await daemon?.stop();
});

async function scrape(accept = ''): Promise<Series[]> {
  const { code, body } = await get(daemon, 'viewer', '/metrics', { headers: { accept } });
  assert.equal(code, 200, body);
  return readExposition(body, accept !== '');
}

/** The value of the one series of that name with those labels among its own; undefined for none. */
function find(all: readonly Series[], name: string, labels: Record<string, string> = {}) {
  const found = all.filter(
    (each) =>
      each.name === name &&
      Object.entries(labels).every(([key, value]) => each.labels[key] === value),
  );
  assert.ok(found.length < 2, `${name} is there ${found.length} times`);
  return found[0]?.value;
}

test('Prometheus reads how jobs wait, start, end and write, and what the API was asked (S4-59)', {
  skip,
}, async () => {
  const api = daemon.as('admin');
  const before = await scrape();
  // Prometheus sees an increase only from a number that was there before.
  assert.equal(find(before, 'joblet_jobs_ended_total', { reason: 'OOM_KILLED' }), 0);
  await finish(api, shell('echo hello; exit 3'));
  await finish(api, shell('head -c 200000 /dev/zero'));
  await start(api, shell('exec sleep 1000'));
  await start(api, shell('echo waits'));
  await api.unary(getServerVersion, {});
  const now = await scrape();
  const grown = (name: string, labels = {}) =>
    (find(now, name, labels) ?? 0) - (find(before, name, labels) ?? 0);

  assert.equal(find(now, 'joblet_jobs', { status: 'RUNNING' }), 1);
  assert.equal(find(now, 'joblet_jobs', { status: 'PENDING' }), 1);
  assert.equal(find(now, 'joblet_jobs', { status: 'SCHEDULED' }), 0);
  assert.ok((find(now, 'joblet_queue_oldest_seconds') ?? -1) >= 0);
  assert.ok((find(now, 'joblet_jobs_tasks') ?? 0) > 0);
  assert.equal(grown('joblet_jobs_ended_total', { status: 'FAILED', reason: 'EXITED' }), 1);
  assert.equal(grown('joblet_jobs_ended_total', { status: 'COMPLETED', reason: 'EXITED' }), 1);
  assert.equal(grown('joblet_job_start_seconds_count'), 3);
  assert.equal(grown('joblet_job_wait_seconds_count'), 3);
  assert.equal(grown('joblet_job_run_seconds_count'), 2);
  const written = grown('joblet_job_log_bytes_total');
  assert.equal(written + grown('joblet_job_log_dropped_bytes_total'), 200_006);
  assert.ok(written <= 2 * 64 * 1024, `${written}`);
  const method = 'joblet.MonitoringService/GetServerVersion';
  assert.equal(grown('joblet_api_calls_total', { method, code: 'OK' }), 1);
  assert.equal(grown('joblet_api_call_seconds_count', { method }), 1);
  assert.ok((find(now, 'joblet_api_connections') ?? 0) > 0);
});

/** Metrics that an expression of PromQL asks for, each with the labels that it is chosen by. */
function askedBy(expression: string): { readonly name: string; readonly labels: string[] }[] {
  const selectors = expression.matchAll(/\b((?:joblet|process)_[a-z0-9_]+)(?:\{([^}]*)\})?/g);
  return [...selectors].map(([, name = '', inside = '']) => ({
    name,
    labels: [...inside.matchAll(/([a-z_]+)(?:=|!)/g)].map(([, label = '']) => label),
  }));
}

/** Labels that it groups by. */
function groupedBy(expression: string): string[] {
  return [...expression.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(', '));
}

/** Prometheus adds these itself. */
const ADDED: readonly string[] = ['instance', 'job'];

test('every expression of the dashboard and of the rules finds its metrics and labels', {
  skip,
}, async () => {
  const read = (name: string) =>
    readFileSync(path.join(import.meta.dirname, '../examples/monitoring', name), 'utf8');
  const { panels } = JSON.parse(read('grafana-dashboard.json'));
  const ofPanels = panels.flatMap((panel: { targets?: { expr: string }[] }) =>
    (panel.targets ?? []).map(({ expr }) => expr),
  );
  const ofRules = [...read('joblet-rules.yml').matchAll(/expr: (.*)/g)].map(([, expr]) => expr);
  await daemon
    .as('operator')
    .unary(createVolume, { name: 'asked-for', size: '1MB', type: 'memory' });
  const all = await scrape();
  const labelsOf = (name: string) =>
    new Set(all.filter((each) => each.name === name).flatMap(({ labels }) => Object.keys(labels)));
  let looks = 0;
  for (const expression of [...ofPanels, ...ofRules]) {
    const asked = askedBy(expression);
    for (const { name, labels } of asked) {
      looks += 1;
      assert.ok(
        all.some((each) => each.name === name),
        `${name} is not told`,
      );
      const there = labelsOf(name).union(new Set(ADDED));
      for (const label of labels) assert.ok(there.has(label), `${name} has no label ${label}`);
    }
    for (const label of groupedBy(expression)) {
      const isThere = asked.some(({ name }) => labelsOf(name).has(label));
      assert.ok(isThere || ADDED.includes(label), `nothing has the label ${label}: ${expression}`);
    }
  }
  assert.ok(looks > 40, `${looks}`);
});

test('a call that was refused is counted by its code, and one that is unknown by no name', {
  skip,
}, async () => {
  await assert.rejects(daemon.as('viewer').unary(runJob, shell('true')));
  const all = await scrape();
  const method = 'joblet.JobService/RunJob';
  assert.equal(find(all, 'joblet_api_calls_total', { method, code: 'PERMISSION_DENIED' }), 1);
});

test('the host, the daemon and its certificates are told as they are', { skip }, async () => {
  const all = await scrape();
  const cpus = readFileSync('/proc/stat', 'utf8').match(/^cpu\d+/gm)?.length;
  assert.equal(find(all, 'joblet_host_cpus'), cpus);
  const kilobytes = Number(/^MemTotal: +(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]);
  assert.equal(find(all, 'joblet_host_memory_bytes'), kilobytes * 1024);
  assert.ok((find(all, 'process_resident_memory_bytes') ?? 0) > 10e6);
  const expiry = find(all, 'joblet_certificate_expiry_seconds', { certificate: 'server' }) ?? 0;
  const days = (expiry * 1000 - Date.now()) / 86_400_000;
  assert.ok(days > 364 && days < 366, `${days}`);
  assert.ok((find(all, 'joblet_disk_size_bytes', { directory: 'state' }) ?? 0) > 0);
});

test('there are as many series whatever jobs there were, and none is named by a job', {
  skip,
}, async () => {
  const names = (all: readonly Series[]) =>
    all.map(({ name, labels }) => `${name} ${JSON.stringify(labels)}`).toSorted();
  const before = names(await scrape());
  for (const name of ['a"b', 'c\nd'].keys()) {
    await daemon.as('admin').unary(runJob, { ...shell('echo x'), name: `many-${name}` });
  }
  assert.deepEqual(names(await scrape()), before);
  assert.doesNotMatch(before.join('\n'), /[0-9a-f]{8}-[0-9a-f]{4}|many-/);
});

test('OpenMetrics says the same as the older format', { skip }, async () => {
  const names = (all: readonly Series[]) => all.map(({ name }) => name);
  const asked = 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5';
  assert.deepEqual(names(await scrape(asked)), names(await scrape()));
});

const PYTHON = '/usr/bin/python3';

function cannotParse(): string | false {
  try {
    execFileSync(PYTHON, ['-c', 'import prometheus_client'], { stdio: 'ignore' });
    return skip;
  } catch {
    return 'the Debian package python3-prometheus-client is not installed';
  }
}

/** What Prometheus' own parser makes of metrics. */
function parsed(text: string, format: Format): [string, Record<string, string>, string][] {
  const program = path.join(import.meta.dirname, 'python/exposition.py');
  return JSON.parse(execFileSync(PYTHON, [program, format], { input: text, encoding: 'utf8' }));
}

test("Prometheus' own parsers read both formats, whatever stands in a label", {
  skip: cannotParse(),
}, async () => {
  for (const format of ['prometheus', 'openmetrics'] as const) {
    const headers = { accept: format === 'openmetrics' ? 'application/openmetrics-text' : '' };
    const { body } = await get(daemon, 'viewer', '/metrics', { headers });
    const names = new Set(parsed(body, format).map(([name]) => name));
    assert.ok(names.has('joblet_jobs') && names.has('joblet_job_start_seconds_bucket'));
    assert.ok(names.size > 40, `${names.size}`);

    const texts = ['a"b', 'c\\d', 'e\nf', '漢 🎉', '\\n', '{}=,', '\u2028', '\r', '"} 1\nx 2', ''];
    const points = texts.map((volume, value) => ({ labels: { volume }, value }));
    const family = {
      name: 'joblet_hostile',
      help: 'a "b" \\ c\nd',
      type: 'gauge',
      points,
    } as const;
    const read = parsed(formatMetrics([family], format), format);
    assert.deepEqual(
      read.map(([, { volume }]) => volume),
      texts,
    );
  }
});
