// The guide about monitoring, and what that about logs says of HTTPS: every command does what it says.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { finish, shell } from './job-calls.ts';
import { MAIN } from './rnx.ts';
import { get } from './web-client.ts';

const skip = cannotRun();
const ROOT = path.join(import.meta.dirname, '..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const monitoring = read('docs/guide/monitoring.md');

let daemon: Daemon;
let job: string;
let archive: string | undefined;

before(async () => {
  if (skip !== false) return;
  archive = mkdtempSync(path.join(tmpdir(), 'joblet-archive-'));
  daemon = await startDaemon({
    web: { enabled: true, port: 0 },
    // Some metrics are of it.
    archive: { type: 'local', directory: archive },
  });
  // What `joblet certs init` makes, and an rnx on the path.
  const { ca, cert, key } = daemon.node('viewer');
  const certificates = { 'ca-cert': ca, 'viewer-client-cert': cert, 'viewer-client-key': key };
  mkdirSync(path.join(daemon.directory, 'certs'));
  for (const [name, pem] of Object.entries(certificates)) {
    writeFileSync(path.join(daemon.directory, 'certs', `${name}.pem`), pem, { mode: 0o600 });
  }
  const rnx = path.join(daemon.directory, 'rnx');
  writeFileSync(rnx, `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`);
  chmodSync(rnx, 0o755);
  job = (await finish(daemon.as('developer'), shell('echo hello'))).job.uuid;
});

after(async () => {
  await daemon?.stop();
  if (archive !== undefined) rmSync(archive, { recursive: true });
});

/** Runs a line of a guide; answers what it prints, and for one that goes on what it prints first. */
async function run(line: string, goesOn = false): Promise<string> {
  const child = spawn(
    'sh',
    ['-c', (goesOn ? `exec ${line}` : line).replaceAll(':8443', `:${daemon.webPort}`)],
    {
      cwd: daemon.directory,
      env: {
        PATH: `${daemon.directory}:${process.env['PATH']}`,
        RNX_CONFIG: daemon.nodesFile('viewer'),
        JOB: job,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (piece) => {
    text += piece;
    if (goesOn) child.kill();
  });
  const [code] = await once(child, 'close');
  if (!goesOn) assert.equal(code, 0, line);
  return text;
}

/** What the guide promises that a command begins with; those that go on are ended then. */
const printed: Readonly<Record<string, RegExp>> = {
  'rnx monitor status': /Host Information.*Processes/s,
  'rnx monitor top': /^\S+ {2}up .*load/,
  'rnx monitor watch --interval 2': /\S/,
  'rnx monitor watch --filter cpu,memory --compact': /%/,
  'rnx monitor watch --json --filter job': /^\{/,
};

test('every command of the guide about monitoring does what it says (S2-7)', { skip }, async () => {
  const commands = monitoring.match(/^rnx monitor \S.*?(?= {2}|$)/gm) ?? [];
  assert.deepEqual(commands, Object.keys(printed));
  const outputs = commands.map((command) => run(command, command.includes('watch')));
  for (const [at, output] of (await Promise.all(outputs)).entries()) {
    assert.match(output, printed[commands[at] ?? ''] ?? /^$/);
  }
});

test('every request by curl in the guides is answered', { skip }, async () => {
  const blocks = ['monitoring', 'logs'].flatMap((name) =>
    [...read(`docs/guide/${name}.md`).matchAll(/```sh\n(curl .*?)```/gs)].map(
      ([, block = '']) => block,
    ),
  );
  assert.equal(blocks.length, 2);
  const [metrics = '', log = ''] = await Promise.all(blocks.map((block) => run(block)));
  assert.match(metrics, /^joblet_jobs\{status="RUNNING"\} 0$/m);
  assert.match(log, /^event: stdout\ndata: .*"text":"hello\\n"\}$/m);
  assert.match(log, /^id: 6\.end\nevent: end\ndata: \{"status":"COMPLETED"/m);
});

test('the guide names metrics that there are, and the SDK that was tried', { skip }, async () => {
  const metrics = await run((monitoring.match(/```sh\n(curl .*?)```/s) ?? [])[1] ?? 'false');
  const names = monitoring.match(/`(joblet|process)_[a-z_]+/g) ?? [];
  assert.ok(names.length > 20);
  for (const name of names) {
    // Of GPUs nothing is told where there are none.
    if (name === '`joblet_gpu_') continue;
    assert.ok(metrics.includes(`\n# TYPE ${name.slice(1)}`), name);
  }
  const { devDependencies, dependencies } = JSON.parse(read('package.json'));
  const packages = monitoring.match(/@opentelemetry\/[a-z-]+@[\d.]+/g) ?? [];
  assert.equal(packages.length, 4);
  for (const wanted of packages) {
    const at = wanted.lastIndexOf('@');
    const tried = { ...devDependencies, ...dependencies }[wanted.slice(0, at)];
    assert.ok(tried.startsWith(`${wanted.slice(at + 1)}.`), `${wanted} is not ${tried}`);
  }
});

test('what the example has Prometheus do is answered', { skip }, async () => {
  const { rule_files, scrape_configs } = parse(read('examples/monitoring/prometheus.yml'));
  for (const name of rule_files) read(`examples/monitoring/${name}`);
  const [{ scheme, tls_config, static_configs }] = scrape_configs;
  assert.equal(scheme, 'https');
  assert.match(static_configs[0].targets[0], /:8443$/);
  const certificate = (file: string) =>
    readFileSync(path.join(daemon.directory, 'certs', path.basename(file)));
  const answer = await get(daemon, undefined, '/metrics', {
    servername: tls_config.server_name,
    ca: certificate(tls_config.ca_file),
    cert: certificate(tls_config.cert_file),
    key: certificate(tls_config.key_file),
  });
  assert.equal(answer.code, 200);
  assert.match(answer.body, /^joblet_jobs\{status="RUNNING"\} 0$/m);
});
