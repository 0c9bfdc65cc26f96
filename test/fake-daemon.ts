// A daemon of a few lines for tests of the client: it speaks gRPC over HTTP/2 over mutual TLS, and
// answers each path as the test says. It is written on its own, so that client and fake cannot agree
// on a mistake.

import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { DescMethod } from '@bufbuild/protobuf';
import { create, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import type { Node } from '../src/client/nodes-file.ts';
import { issue, type KeyPair, makeAuthority } from '../src/daemon/certs.ts';

/** What a test's answer to a call may do. */
export interface FakeCall {
  /** The requests, as they arrive. */
  readonly requests: AsyncIterable<Message>;
  /** Sends one answer; resolves when there is room for the next. */
  answer(message: object): Promise<void>;
  /** Ends the call with gRPC's number and text. */
  finish(status?: number, message?: string): void;
  readonly headers: http2.IncomingHttpHeaders;
  readonly stream: http2.ServerHttp2Stream;
}

export type FakeAnswer = (call: FakeCall) => Promise<void> | void;

export interface FakeDaemon {
  readonly node: Node;
  readonly authority: KeyPair;
  /** Takes no more calls on the connections that there are; those under way go on. */
  leave(): void;
  close(): Promise<void>;
}

/** Starts a fake on a free port of the loopback. */
export async function startFake(
  methods: readonly (readonly [DescMethod, FakeAnswer])[],
  certificates: { readonly server?: KeyPair } = {},
): Promise<FakeDaemon> {
  const now = Date.now();
  const authority = await makeAuthority(now);
  const pair = certificates.server ?? (await issue(authority, { kind: 'server', names: [] }, now));
  const client = await issue(authority, { kind: 'client', name: 'test', units: ['admin'] }, now);
  const server = http2.createSecureServer({
    ...pair,
    ca: authority.cert,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
  });
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => {});
  });
  server.on('stream', (stream, headers) =>
    serve(methods, stream as http2.ServerHttp2Stream, headers),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    authority,
    node: {
      name: 'fake',
      host: '127.0.0.1',
      port: (server.address() as AddressInfo).port,
      nodeId: '',
      cert: client.cert,
      key: client.key,
      ca: authority.cert,
      source: "node 'fake'",
    },
    leave: () => {
      for (const session of sessions) session.close();
    },
    close: async () => {
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function serve(
  methods: readonly (readonly [DescMethod, FakeAnswer])[],
  stream: http2.ServerHttp2Stream,
  headers: http2.IncomingHttpHeaders,
): void {
  stream.on('error', () => {});
  const found = methods.find(
    ([method]) => headers[':path'] === `/${method.parent.typeName}/${method.name}`,
  );
  if (found === undefined) {
    stream.respond({ ':status': 200, 'grpc-status': '12' }, { endStream: true });
    return;
  }
  const [method, answer] = found;
  let trailers: Record<string, string> = {};
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  const respond = () => {
    if (!stream.headersSent) {
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc' },
        { waitForTrailers: true },
      );
    }
  };
  void answer({
    headers,
    stream,
    requests: requestsOf(method, stream),
    answer: (message) => {
      respond();
      const bytes = toBinary(method.output, create(method.output, message as never));
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(bytes.length, 1);
      if (stream.write(Buffer.concat([prefix, bytes]))) return Promise.resolve();
      return once(stream, 'drain').then(() => {});
    },
    finish: (status = 0, message = '') => {
      trailers = { 'grpc-status': String(status), 'grpc-message': encodeURIComponent(message) };
      if (!stream.headersSent && status !== 0) {
        stream.respond({ ':status': 200, ...trailers }, { endStream: true });
        return;
      }
      respond();
      stream.end();
    },
  });
}

async function* requestsOf(
  method: DescMethod,
  stream: http2.ServerHttp2Stream,
): AsyncGenerator<Message> {
  let bytes = Buffer.alloc(0);
  for await (const piece of stream) {
    bytes = Buffer.concat([bytes, piece as Buffer]);
    while (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt32BE(1)) {
      const end = 5 + bytes.readUInt32BE(1);
      yield fromBinary(method.input, bytes.subarray(5, end));
      bytes = bytes.subarray(end);
    }
  }
}

/** The first request of a call that has one. */
export async function firstOf<T>(requests: AsyncIterable<Message>): Promise<T> {
  // Not a loop: leaving one ends the stream, and with it the answer.
  const { value, done } = await requests[Symbol.asyncIterator]().next();
  if (done) throw new Error('the call ended without a request');
  return value as T;
}
