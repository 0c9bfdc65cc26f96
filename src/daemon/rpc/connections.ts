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
import { AdmittedCall, type CallScope, RefusedCall, refuse } from './admitted-call.ts';
import { BodyBudget } from './body-budget.ts';
import { type Caller, refusal } from './roles.ts';

export interface ConnectionLimits {
  readonly maxConnections: number;
  /** A connection that has not proved who it is within this is cut off. */
  readonly handshakeMs: number;
  /** Bytes of requests held at once, over all calls. */
  readonly maxBodyBytes: number;
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

/** Injectors that are kept for certificates that come again. */
const IDLE_ENTRIES = 256;

interface Entry {
  readonly injector: ConnectionInjector;
  connections: number;
}

export class Connections {
  readonly #scope: CallScope;
  readonly #grpc: Server;
  readonly #onRefused: OnRefused;
  readonly #tls: TlsServer;
  readonly #sockets = new Map<TLSSocket, Entry>();
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
    this.#scope = { open: new Set(), budget: new BodyBudget(limits.maxBodyBytes) };
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
      (socket) => this.#accept(socket),
    );
    // Also told of a handshake that takes too long; nobody else closes what has failed.
    this.#tls.on('tlsClientError', (_error, socket) => socket.destroy());
    this.#tls.maxConnections = limits.maxConnections;
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
    for (const call of this.#scope.open) {
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
    for (const call of this.#scope.open) call.stop(reason);
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
    for (const socket of this.#sockets.keys()) socket.destroy();
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
      entry = this.#entry(certificate.fingerprint256, this.#gate(admission));
    } catch (error) {
      if (!(error instanceof JobletError) || this.#refusedNow >= REFUSED_AT_ONCE) {
        socket.destroy();
        return;
      }
      const serial = certificate.serialNumber?.toUpperCase() ?? '';
      entry = this.#entry(`${serial} ${error.message}`, this.#wall(serial, error));
      this.#cutOffSoon(socket);
    }
    this.#sockets.set(socket, entry);
    entry.connections += 1;
    socket.once('close', () => {
      this.#sockets.delete(socket);
      entry.connections -= 1;
      if (this.#sockets.size === 0) this.#onEmpty();
      this.#forgetIdle();
    });
    entry.injector.injectConnection(socket);
  }

  #entry(key: string, gate: ServerInterceptor): Entry {
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const credentials = experimental.createServerCredentialsWithInterceptors(
      ServerCredentials.createInsecure(),
      [gate],
    );
    const injector = this.#grpc.createConnectionInjector(credentials);
    const entry = { injector, connections: 0 };
    this.#entries.set(key, entry);
    return entry;
  }

  #forgetIdle(): void {
    if (this.#entries.size <= IDLE_ENTRIES) return;
    for (const [key, entry] of this.#entries) {
      if (entry.connections > 0) continue;
      this.#entries.delete(key);
      entry.injector.destroy();
      return;
    }
  }

  /** Decides on each call of a certificate that was let in, before its body is read. */
  #gate(admission: Admission): ServerInterceptor {
    const { caller, serial: certificate } = admission;
    return ({ path }, call) => {
      const error =
        this.#stopping ??
        withdrawal(admission, Date.now(), this.#credentials.revoked) ??
        refusal(caller, path);
      if (error === undefined) return new AdmittedCall(call, admission, this.#scope);
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

function contextOf({ serverCert, serverKey, caCert }: Credentials) {
  return {
    cert: serverCert,
    key: serverKey,
    ca: caCert,
    minVersion: 'TLSv1.3',
    // A resumed session would not look at the client's certificate again.
    secureOptions: constants.SSL_OP_NO_TICKET,
  } as const;
}
