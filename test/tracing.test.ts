// Traces of a real daemon, by the example that comes along, as a collector gets them.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { runJob, stopJob, waitJob } from '../src/client/methods.ts';
import { JobService } from '../src/gen/joblet/jobs_pb.ts';
import { wire } from './grpc-fixture.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { finish, shell } from './job-calls.ts';
import { MAIN } from './rnx.ts';

const skip = cannotRun();
const EXAMPLE = path.join(import.meta.dirname, '../examples/monitoring/tracing.mjs');

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { readonly key: string; readonly value: object }[];
  readonly status: { readonly code?: number; readonly message?: string };
}

/** A collector on loopback. */
class Collector {
  readonly spans: Span[] = [];
  readonly #server = createServer(async (request, response) => {
    let body = '';
    for await (const piece of request.setEncoding('utf8')) body += piece;
    const { resourceSpans } = JSON.parse(body);
    for (const { scopeSpans } of resourceSpans) {
      for (const { spans } of scopeSpans) this.spans.push(...spans);
    }
    response.end('{}');
    this.#server.emit('spans');
  });

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The spans of a trace by their names, when all of these have come. */
  async trace(has: (span: Span) => boolean, names: readonly string[]): Promise<Map<string, Span>> {
    for (;;) {
      const traceId = this.spans.find(has)?.traceId;
      const found = new Map(
        this.spans.filter((span) => span.traceId === traceId).map((span) => [span.name, span]),
      );
      if (names.every((name) => found.has(name))) return found;
      await once(this.#server, 'spans');
    }
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

const collector = new Collector();
let daemon: Daemon;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon({ joblet: { maxConcurrentJobs: 1 } }, undefined, {
    NODE_OPTIONS: `--import=${EXAMPLE}`,
    OTEL_EXPORTER_OTLP_ENDPOINT: await collector.listen(),
    OTEL_BSP_SCHEDULE_DELAY: '20',
  });
});

after(async () => {
  await daemon?.stop();
  collector.close();
});

/** Asks for a job as a client that traces does. */
async function runTraced(script: string, traceparent: string): Promise<string> {
  const { ca, cert, key, port } = daemon.node('developer');
  const secure = credentials.createSsl(Buffer.from(ca), Buffer.from(key), Buffer.from(cert));
  const client = new Client(`localhost:${port}`, secure);
  const { path: method, write, read } = wire(JobService, 'runJob');
  const metadata = new Metadata();
  metadata.set('traceparent', traceparent);
  const { promise, resolve, reject } = Promise.withResolvers<{ jobUuid: string }>();
  client.makeUnaryRequest(method, write, read, shell(script), metadata, (error, answer) =>
    error === null ? resolve(answer as unknown as { jobUuid: string }) : reject(error),
  );
  try {
    return (await promise).jobUuid;
  } finally {
    client.close();
  }
}

function attribute(span: Span | undefined, key: string): object | undefined {
  return span?.attributes.find((each) => each.key === key)?.value;
}

const PARTS = ['queue', 'resources', 'launch', 'exec'];
const CALL = 'joblet.JobService/RunJob';

test('a job is one trace from the call of its client to the end of its command', {
  skip,
}, async () => {
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  const uuid = await runTraced('exit 3', `00-${traceId}-b7ad6b7169203331-01`);
  const spans = await collector.trace((span) => span.traceId === traceId, [CALL, 'job', ...PARTS]);
  const call = spans.get(CALL);
  const job = spans.get('job');
  assert.equal(call?.parentSpanId, 'b7ad6b7169203331');
  assert.deepEqual(attribute(call, 'rpc.response.status_code'), { stringValue: 'OK' });
  assert.equal(job?.parentSpanId, call?.spanId);
  assert.deepEqual(attribute(job, 'joblet.job.id'), { stringValue: uuid });
  assert.deepEqual(attribute(job, 'process.exit.code'), { intValue: 3 });
  assert.deepEqual(attribute(job, 'joblet.job.status'), { stringValue: 'FAILED' });
  let lastNs = 0n;
  for (const name of PARTS) {
    const part = spans.get(name);
    assert.equal(part?.parentSpanId, job?.spanId, name);
    const [startNs, endNs] = [
      BigInt(part?.startTimeUnixNano ?? 0),
      BigInt(part?.endTimeUnixNano ?? 0),
    ];
    assert.ok(startNs >= lastNs && endNs >= startNs, `${name} follows the part before it`);
    lastNs = endNs;
  }
});

test('rnx hands on the trace that it was called in', { skip }, async () => {
  const traceId = '2cf7651916cd43dd8448eb211c80319c';
  const child = spawn(process.execPath, [MAIN, 'job', 'run', 'true'], {
    env: {
      PATH: process.env['PATH'] ?? '',
      RNX_CONFIG: daemon.nodesFile('developer'),
      TRACEPARENT: `00-${traceId}-b7ad6b7169203331-01`,
    },
    stdio: 'ignore',
  });
  const [code] = await once(child, 'close');
  assert.equal(code, 0);
  const spans = await collector.trace((span) => span.traceId === traceId, [CALL, 'job', 'exec']);
  assert.equal(spans.get(CALL)?.parentSpanId, 'b7ad6b7169203331');
});

test('a job that waits is of the trace of its own call, and says where its start failed', {
  skip,
}, async () => {
  const api = daemon.as('developer');
  const { jobUuid: first } = await api.unary(runJob, shell('exec sleep 1000'));
  const traceId = '1bf7651916cd43dd8448eb211c80319c';
  const waiting = await runTraced('true', `00-${traceId}-b7ad6b7169203331-01`);
  await api.unary(stopJob, { uuid: first, force: true });
  await api.unary(waitJob, { uuid: waiting });
  const spans = await collector.trace((span) => span.traceId === traceId, ['job', ...PARTS]);
  assert.deepEqual(attribute(spans.get('job'), 'joblet.job.id'), { stringValue: waiting });

  const { jobUuid: missing } = await api.unary(runJob, { command: '/no/such/program' });
  const failed = await collector.trace(
    (span) => JSON.stringify(attribute(span, 'joblet.job.id') ?? '').includes(missing),
    ['job', 'launch'],
  );
  assert.equal(failed.get('launch')?.status.code, 2);
  // Nothing of a command is in a span.
  assert.doesNotMatch(JSON.stringify([...failed.values()]), /such\/program/);
  assert.match(failed.get('job')?.status.message ?? '', /could not be started/);
  assert.ok(!failed.has('exec'));
});

test('what a daemon that stops has not sent yet is sent before it ends', { skip }, async () => {
  const { jobUuid } = await daemon.as('developer').unary(runJob, shell('true'));
  await daemon.as('developer').unary(waitJob, { uuid: jobUuid });
  await daemon.end();
  const of = (span: Span) => JSON.stringify(span.attributes).includes(jobUuid);
  assert.ok(collector.spans.some(of));
});

test('a collector that refuses spans is said once, and one that hangs holds up no job and no stop', {
  skip,
}, async () => {
  let isHanging = false;
  let refusals = 0;
  const broken = createServer((request, response) => {
    request.resume();
    refusals += 1;
    if (!isHanging) response.writeHead(400).end();
    broken.emit('asked');
  });
  await once(broken.listen(0, '127.0.0.1'), 'listening');
  const other = await startDaemon({}, undefined, {
    NODE_OPTIONS: `--import=${EXAMPLE}`,
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(broken.address() as AddressInfo).port}`,
    OTEL_BSP_SCHEDULE_DELAY: '20',
    OTEL_EXPORTER_OTLP_TIMEOUT: '600000',
    OTEL_BSP_EXPORT_TIMEOUT: '600000',
  });
  try {
    const said = other.logged(/spans are not sent/);
    for (let asked = 0; asked < 3; asked += 1) {
      const came = once(broken, 'asked');
      await finish(other.as('developer'), shell('true'));
      await came;
    }
    await said;
    isHanging = true;
    const hangs = once(broken, 'asked');
    const { job } = await finish(other.as('developer'), shell('true'));
    assert.equal(job.status, 'COMPLETED');
    await hangs;
    await other.end();
    assert.ok(refusals > 3);
    assert.equal(other.log().match(/\[WARN\] spans are not sent/g)?.length, 1);
  } finally {
    await other.stop();
    broken.closeAllConnections();
    broken.close();
  }
});
