// TLS connections on their way to grpc-js. Whose a connection is, is decided once, when it has been
// made; after that each of its calls costs a look into a table.
//
//   tls.Server -> admit -> one injector per certificate -> grpc-js
//                   └----> one injector that refuses every call, with the reason
//
// A connection that is not let in is not just closed: its client would be told nothing by TLS. Its
// calls are answered with the reason, their bodies unread, and it is cut off soon.

import { constants } from 'node:crypto';
import { createServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import {
  type ConnectionInjector,
  experimental,
  type Server,
  ServerCredentials,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import { JobletError } from '../../shared/errors.ts';
import type { Credentials } from '../credentials.ts';
import { type Admission, admit, withdrawal } from './admission.ts';
import { AdmittedCall, RefusedCall, refuse } from './admitted-call.ts';
import { BodyBudget } from './body-budget.ts';
import { type CallUnderWay, Client, type ClientLimits } from './clients.ts';
import { Handshakes } from './handshakes.ts';
import { maxRequestBytes } from './request-sizes.ts';
import { type Caller, refusal } from './roles.ts';

export interface ConnectionLimits {
  readonly maxConnections: number;
  /** A connection that has not proved who it is within this is cut off. */
  readonly handshakeMs: number;
  /** Connections from one address that have not proved yet who they are. */
  readonly maxHandshakes: number;
  /** Bytes of one message, also after it has been decompressed. */
  readonly maxReceiveBytes: number;
  /** Bytes of requests held at once, over all calls. */
  readonly maxBodyBytes: number;
  /** What one client may have of all that. */
  readonly client: ClientLimits;
}

/** A call that was not let in. */
export interface RefusedBy {
  readonly path: string;
  readonly peer: string;
  /** Undefined when the certificate proves nothing. */
  readonly caller: Caller | undefined;
  /** Serial number of the certificate, or empty. */
  readonly certificate: string;
  readonly error: JobletError;
}
export type OnRefused = (refused: RefusedBy) => void;

/** How long a connection that may call nothing is kept, so that its client can be told why. */
const REFUSED_MS = 10_000;
const REFUSED_AT_ONCE = 64;

/** How often a connection is looked after. */
const LOOK_AFTER_MS = 5000;

/** Clients that are kept for when they come again. */
const IDLE_CLIENTS = 256;

interface Entry {
  readonly client: Client;
  readonly injector: ConnectionInjector;
}

export class Connections {
  readonly #grpc: Server;
  readonly #onRefused: OnRefused;
  readonly #tls: TlsServer;
  readonly #clientLimits: ClientLimits;
  readonly #budget: BodyBudget;
  readonly #maxReceiveBytes: number;
  readonly #sockets = new Set<TLSSocket>();
  /** By certificate, or by the reason of a refusal. */
  readonly #entries = new Map<string, Entry>();
  #credentials: Credentials;
  #refusedNow = 0;
  #stopping: JobletError | undefined;
  #onEmpty: () => void = () => {};

  constructor(
    grpc: Server,
    credentials: Credentials,
    limits: ConnectionLimits,
    onRefused: OnRefused,
  ) {
    this.#grpc = grpc;
    this.#budget = new BodyBudget(limits.maxBodyBytes);
    this.#clientLimits = limits.client;
    this.#maxReceiveBytes = limits.maxReceiveBytes;
    this.#credentials = credentials;
    this.#onRefused = onRefused;
    this.#tls = createServer(
      {
        ...contextOf(credentials),
        requestCert: true,
        // We refuse ourselves, with a reason that reaches the client.
        rejectUnauthorized: false,
        ALPNProtocols: ['h2'],
        handshakeTimeout: limits.handshakeMs,
        noDelay: true,
      },
      (socket) => {
        handshakes.end(socket);
        this.#accept(socket);
      },
    );
    const handshakes = new Handshakes(limits.maxHandshakes);
    this.#tls.prependListener('connection', (socket) => handshakes.begin(socket));
    // Also told of a handshake that takes too long; nobody else closes what has failed.
    this.#tls.on('tlsClientError', (error, socket) => {
      const tooSlow = slowHandshake(error, socket, limits.handshakeMs);
      if (tooSlow !== undefined) onRefused(tooSlow);
      socket.destroy();
    });
    this.#tls.maxConnections = limits.maxConnections;
    this.#tls.on('drop', (from) => onRefused(tooMany(from, limits.maxConnections)));
  }

  /** Resolves with the port. */
  listen(address: string, port: number): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#tls.once('error', (cause: NodeJS.ErrnoException) => {
      reject(
        new JobletError(
          'unavailable',
          `cannot listen on ${address}:${port}: ${cause.code ?? cause.message}; ` +
            'is another daemon running there? (server.address, server.port)',
          { cause },
        ),
      );
    });
    this.#tls.listen({ host: address, port }, () => {
      const bound = this.#tls.address();
      resolve(typeof bound === 'object' && bound !== null ? bound.port : port);
    });
    return promise;
  }

  /**
   * From now on these count. What a revoked certificate has under way is ended, with the reason; a
   * new authority leaves no connection standing.
   */
  update(credentials: Credentials): void {
    const isSameAuthority = credentials.caCert === this.#credentials.caCert;
    this.#credentials = credentials;
    this.#tls.setSecureContext(contextOf(credentials));
    for (const call of this.#calls()) {
      const reason = withdrawal(call.admission, Date.now(), credentials.revoked);
      if (reason !== undefined) call.stop(reason);
    }
    if (isSameAuthority) return;
    for (const { injector } of this.#entries.values()) injector.destroy();
    this.#entries.clear();
    this.destroy();
  }

  /** Accepts nothing more, no connection and no call, and ends calls that would go on. */
  stop(reason: JobletError): void {
    this.#stopping = reason;
    this.#tls.close();
    for (const call of this.#calls()) call.stop(reason);
  }

  /** Connections that stand. */
  get count(): number {
    return this.#sockets.size;
  }

  /** Lets every connection end with its last call. Resolves when all have, or after `ms`. */
  async drain(ms: number): Promise<void> {
    for (const { injector } of this.#entries.values()) injector.destroy();
    this.#entries.clear();
    if (this.#sockets.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmpty = resolve;
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
  }

  /** Closes every connection that still stands. */
  destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: TLSSocket): void {
    // What goes wrong on it is seen by its calls; here it only must not end the daemon.
    socket.on('error', () => {});
    if (socket.alpnProtocol !== 'h2') {
      socket.destroy();
      return;
    }
    let entry: Entry;
    const certificate = socket.getPeerCertificate();
    try {
      const { authorized, authorizationError } = socket;
      const peer = { authorized, authorizationError, certificate };
      const admission = admit(peer, this.#credentials.revoked);
      entry = this.#entry(certificate.fingerprint256, (client) => this.#gate(admission, client));
      if (!entry.client.makeRoom()) throw tooManyConnections(admission, this.#clientLimits);
    } catch (error) {
      if (!(error instanceof JobletError) || this.#refusedNow >= REFUSED_AT_ONCE) {
        socket.destroy();
        return;
      }
      const serial = certificate.serialNumber?.toUpperCase() ?? '';
      entry = this.#entry(`${serial} ${error.message}`, () => this.#wall(serial, error));
      this.#cutOffSoon(socket);
    }
    this.#sockets.add(socket);
    entry.client.connect(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.#onEmpty();
      this.#forgetIdle();
    });
    entry.injector.injectConnection(socket);
    lookAfter(socket);
  }

  /** `gateOf` decides on each call of the client. */
  #entry(key: string, gateOf: (client: Client) => ServerInterceptor): Entry {
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const client = new Client(this.#clientLimits, this.#budget);
    const credentials = experimental.createServerCredentialsWithInterceptors(
      ServerCredentials.createInsecure(),
      [gateOf(client)],
    );
    const entry = { client, injector: this.#grpc.createConnectionInjector(credentials) };
    this.#entries.set(key, entry);
    return entry;
  }

  *#calls(): Generator<CallUnderWay> {
    for (const { client } of this.#entries.values()) yield* client.calls;
  }

  #forgetIdle(): void {
    if (this.#entries.size <= IDLE_CLIENTS) return;
    for (const [key, { client, injector }] of this.#entries) {
      if (client.isConnected) continue;
      this.#entries.delete(key);
      injector.destroy();
      return;
    }
  }

  /** Decides on each call of a certificate that was let in, before its body is read. */
  #gate(admission: Admission, client: Client): ServerInterceptor {
    const { caller, serial: certificate } = admission;
    return ({ path }, call) => {
      const error =
        this.#stopping ??
        withdrawal(admission, Date.now(), this.#credentials.revoked) ??
        refusal(caller, path) ??
        (client.hasCallsEnough ? tooManyCalls(admission, this.#clientLimits) : undefined);
      if (error === undefined) {
        const bytes = maxRequestBytes(path, this.#maxReceiveBytes);
        return new AdmittedCall(call, admission, client, bytes);
      }
      this.#onRefused({ path, peer: call.getPeer(), caller, certificate, error });
      refuse(call, error);
      return new RefusedCall(call);
    };
  }

  /** Answers every call of a connection that was not let in. */
  #wall(certificate: string, error: JobletError): ServerInterceptor {
    return ({ path }, call) => {
      this.#onRefused({ path, peer: call.getPeer(), caller: undefined, certificate, error });
      refuse(call, error);
      return new RefusedCall(call);
    };
  }

  #cutOffSoon(socket: TLSSocket): void {
    this.#refusedNow += 1;
    const timer = setTimeout(() => socket.destroy(), REFUSED_MS);
    timer.unref();
    socket.once('close', () => {
      clearTimeout(timer);
      this.#refusedNow -= 1;
    });
  }
}

/** Where a connection comes from, as far as that is known. */
interface Peer {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/** A connection that was cut off before it had said who it is, because its handshake took too long. */
export function slowHandshake(
  error: NodeJS.ErrnoException,
  from: Peer,
  ms: number,
): RefusedBy | undefined {
  if (error.code !== 'ERR_TLS_HANDSHAKE_TIMEOUT') return undefined;
  return refusedUnknown(from, `its handshake took longer than ${ms} ms (grpc.connectionTimeout)`);
}

/** A connection that was not taken, because there are as many as there may be. */
export function tooMany(from: Peer | undefined, most: number): RefusedBy {
  return refusedUnknown(from ?? {}, `there are ${most} connections already`);
}

function refusedUnknown({ remoteAddress = '', remotePort = 0 }: Peer, why: string): RefusedBy {
  const error = new JobletError('exhausted', `the connection was cut off: ${why}`);
  const peer = `${remoteAddress}:${remotePort}`;
  return { path: '/', peer, caller: undefined, certificate: '', error };
}

/**
 * Closes a connection whose client is gone when Node does not. A client that cuts it off while much is on
 * its way to it can leave the HTTP/2 session waiting for a write that ended, with reading stopped: then
 * nobody hears that the connection is dead, not even the session's own pings (Node 26).
 */
export function lookAfter(socket: TLSSocket): void {
  const timer = setTimeout(() => {
    if (isConnected(socket)) timer.refresh();
    else socket.destroy();
  }, LOOK_AFTER_MS).unref();
  socket.once('close', () => clearTimeout(timer));
}

/** Whether the kernel still knows a peer. What `remoteAddress` says is from the begin of the connection. */
function isConnected(socket: TLSSocket): boolean {
  const { _handle } = socket as { readonly _handle?: { getpeername?(into: object): number } };
  return _handle?.getpeername === undefined || _handle.getpeername({}) === 0;
}

export function tooManyConnections(
  { caller }: Admission,
  { maxConnections }: ClientLimits,
): JobletError {
  return new JobletError(
    'exhausted',
    `${caller.name} has ${maxConnections} connections with calls on each of them (grpc.maxConnectionsPerClient); make more calls on each`,
  );
}

export function tooManyCalls({ caller }: Admission, { maxCalls }: ClientLimits): JobletError {
  return new JobletError(
    'exhausted',
    `${caller.name} has ${maxCalls} calls under way (grpc.maxCallsPerClient); try again when some have ended`,
  );
}

export function contextOf({ serverCert, serverKey, caCert }: Credentials) {
  return {
    cert: serverCert,
    key: serverKey,
    ca: caCert,
    minVersion: 'TLSv1.3',
    // A resumed session would not look at the client's certificate again.
    secureOptions: constants.SSL_OP_NO_TICKET,
  } as const;
}
