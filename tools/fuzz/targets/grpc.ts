// Calls on a real connection: bodies of any bytes, in any pieces, to any method, cut off anywhere. Each
// is answered with a status, none with a fault of ours, and the server goes on.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { connect as connectTls } from 'node:tls';
import { create, toBinary } from '@bufbuild/protobuf';
import { JobService, RunJobRequestSchema } from '../../../src/gen/joblet/jobs_pb.ts';
import { JobletError } from '../../../src/shared/errors.ts';
import { authority, clientPair, startServer } from '../../../test/grpc-fixture.ts';
import { target } from '../target.ts';

const served = await startServer(
  (server) =>
    server.add(JobService, {
      runJob: async ({ command }) => ({ command }),
      getJobStatus: async ({ uuid }) => {
        throw new JobletError('not-found', `job not found: ${uuid}`);
      },
      getJobLogs: async function* ({ uuid }) {
        yield { payload: Buffer.from(uuid) };
      },
      uploadFiles: async (requests) => {
        let files = 0;
        for await (const { part } of requests) if (part.case === 'header') files++;
        return { files };
      },
    }),
  { maxReceiveBytes: 4096, maxBodyBytes: 1 << 20 },
);
const { cert, key } = await clientPair(['developer']);
const socket = connectTls({
  port: served.port,
  host: '127.0.0.1',
  servername: 'joblet',
  ca: authority.cert,
  cert,
  key,
  ALPNProtocols: ['h2'],
});
await once(socket, 'secureConnect');
const session = connect('https://joblet', { createConnection: () => socket });
session.unref();
socket.unref();

const methods = [
  'RunJob',
  'GetJobStatus',
  'GetJobLogs',
  'UploadFiles',
  'WaitJob',
  'DeleteAllJobs',
  'None',
];

/** The statuses that a client's own bytes may lead to; 13 is what grpc-js says of a broken frame. */
const statuses = ['0', '1', '2', '3', '5', '7', '8', '12', '13'];

function framed(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

const request = framed(
  toBinary(
    RunJobRequestSchema,
    create(RunJobRequestSchema, { command: 'x', environment: { A: 'b' } }),
  ),
);

export default target({
  seeds: methods.flatMap((_, at) => [
    Buffer.concat([Buffer.from([at, 3]), request]),
    Buffer.concat([Buffer.from([at, 0]), framed(Buffer.alloc(0)), request]),
    Buffer.concat([Buffer.from([at, 200]), request.subarray(0, 7)]),
  ]),
  words: ['\0\0\0\0\0', '\u0001', '\0\0\u0010\0\0', '\n\u0001x'],
  async run(input) {
    const method = methods[(input[0] ?? 0) % methods.length];
    const cut = input[1] ?? 0;
    const body = input.subarray(2);
    const isAbandoned = cut === 255;
    const stream = session.request({
      ':method': 'POST',
      ':path': `/joblet.JobService/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let status: unknown;
    let message = '';
    const note = (headers: Readonly<Record<string, unknown>>) => {
      status = headers['grpc-status'] ?? status;
      message = String(headers['grpc-message'] ?? message);
    };
    stream
      .on('response', note)
      .on('trailers', note)
      .on('error', () => {})
      .resume();
    stream.write(body.subarray(0, cut));
    if (isAbandoned) stream.close();
    else stream.end(body.subarray(cut));
    await once(stream, 'close');
    if (isAbandoned) return;
    assert.ok(statuses.includes(String(status)), `${method}: ${status} ${message}`);
    const fault = served.records.find(({ status: record }) => record?.bug !== undefined);
    assert.equal(fault?.status?.bug?.error, undefined);
    served.records.length = 0;
    served.refused.length = 0;
  },
  async close() {
    session.destroy();
    await served.server.stop();
  },
});
