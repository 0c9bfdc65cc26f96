// A gRPC server with certificates of its own, and clients for it: what tests of the adapter share.

import type { DescMethod, DescService, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client, type ClientOptions, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { issue, type KeyPair, makeAuthority } from '../src/daemon/certs.ts';
import type { Credentials } from '../src/daemon/credentials.ts';
import type { Clock } from '../src/daemon/jobs/due.ts';
import { type GrpcLimits, GrpcServer } from '../src/daemon/rpc/grpc-server.ts';
import type { CallRecord } from '../src/daemon/rpc/handlers.ts';

export const authority = await makeAuthority(Date.now());
export const serverPair = await issue(authority, { kind: 'server', names: [] }, Date.now());

/** A client certificate of the test's authority. */
export function clientPair(
  units: readonly string[],
  name = 'ann',
  by = authority,
): Promise<KeyPair> {
  return issue(by, { kind: 'client', name, units }, Date.now());
}

export const testLimits: GrpcLimits = {
  maxConnections: 100,
  handshakeMs: 10_000,
  maxHandshakes: 40,
  maxBodyBytes: 16 * 1024 * 1024,
  client: {
    maxConnections: 50,
    maxCalls: 200,
    maxBodyBytes: 12 * 1024 * 1024,
    maxAnswerBytes: 4 * 1024 * 1024,
  },
  stallMs: 300_000,
  crowdedStallMs: 10_000,
  maxReceiveBytes: 8 * 1024 * 1024,
  maxSendBytes: 8 * 1024 * 1024,
  maxHeaderBytes: 64 * 1024,
  maxConcurrentStreams: 100,
  keepAliveMs: 60_000,
  keepAliveTimeoutMs: 10_000,
  maxConnectionIdleMs: 0,
  maxConnectionAgeMs: 0,
  maxConnectionAgeGraceMs: 30_000,
  stopMs: 5_000,
};

export interface Served {
  readonly server: GrpcServer;
  readonly port: number;
  /** Calls that ended. */
  readonly records: CallRecord[];
  /** Paths and messages of calls that were not let in. */
  readonly refused: string[];
}

export function credentialsOf(
  pair = serverPair,
  revoked: ReadonlySet<string> = new Set(),
): Credentials {
  return { serverCert: pair.cert, serverKey: pair.key, caCert: authority.cert, revoked };
}

/** Starts a server on loopback. */
export async function startServer(
  add: (server: GrpcServer) => void,
  limits: Partial<GrpcLimits> = {},
  clock?: Clock,
): Promise<Served> {
  const records: CallRecord[] = [];
  const refused: string[] = [];
  const server = new GrpcServer(
    credentialsOf(),
    { ...testLimits, ...limits },
    {
      journal: (record) => records.push(record),
      onRefused: ({ path, error }) => refused.push(`${path} ${error.message}`),
      ...(clock && { clock }),
    },
  );
  add(server);
  return { server, port: await server.listen('127.0.0.1', 0), records, refused };
}

/** A client that shows a certificate, or none. */
export function connect(
  port: number,
  pair: KeyPair | undefined,
  options: ClientOptions = {},
): Client {
  const secure = credentials.createSsl(
    Buffer.from(authority.cert),
    pair === undefined ? undefined : Buffer.from(pair.key),
    pair === undefined ? undefined : Buffer.from(pair.cert),
  );
  return new Client(`127.0.0.1:${port}`, secure, {
    'grpc.ssl_target_name_override': 'joblet',
    'grpc.use_local_subchannel_pool': 1,
    ...options,
  });
}

type Methods<S extends DescService> = S['method'];

/** Calls a unary method. */
export function callUnary<S extends DescService, M extends keyof Methods<S> & string>(
  client: Client,
  service: S,
  method: M,
  request: MessageInitShape<Methods<S>[M]['input']>,
): Promise<MessageShape<Methods<S>[M]['output']>> {
  const { path, write, read } = wire(service, method);
  const { promise, resolve, reject } =
    Promise.withResolvers<MessageShape<Methods<S>[M]['output']>>();
  client.makeUnaryRequest(path, write, read, request, (error, answer) => {
    if (error !== null) reject(error);
    else resolve(answer as MessageShape<Methods<S>[M]['output']>);
  });
  return promise;
}

/** The path of a method, and how its messages are written and read. */
export function wire(service: DescService, name: string) {
  const method: DescMethod | undefined = service.method[name];
  if (method === undefined) throw new Error(`${service.typeName} has no ${name}`);
  return {
    path: `/${service.typeName}/${method.name}`,
    write: (init: MessageInitShape<typeof method.input>) =>
      Buffer.from(toBinary(method.input, create(method.input, init))),
    read: (bytes: Buffer) => fromBinary(method.output, bytes),
  };
}

/** The code and message that a call failed with, as `NOT_FOUND job not found: x`; or `OK`. */
export async function outcomeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'OK';
  } catch (error) {
    const { code, details } = error as ServiceError;
    return `${status[code]} ${details}`;
  }
}
