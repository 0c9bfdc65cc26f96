// The web port: HTTPS, HTTP/2 or 1.1, for those who speak no gRPC. It knows its clients by the same
// certificates as the API's port, gives them the same roles, and bounds them in the same way.
//
//   connection -> handshake -> admit -> request -> route -> role -> answer
//
// A connection that is not let in is answered with the reason, request by request.

import { once } from 'node:events';
import { createSecureServer, type Http2SecureServer, type Http2Session } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { JobletError, STOPPING } from '../../shared/errors.ts';
import type { Credentials } from '../credentials.ts';
import { type Admission, admit, withdrawal } from '../rpc/admission.ts';
import { BodyBudget } from '../rpc/body-budget.ts';
import type { CallJournal } from '../rpc/call-journal.ts';
import { addressOf, Client, type ClientLimits } from '../rpc/clients.ts';
import {
  contextOf,
  lookAfter,
  slowHandshake,
  tooMany,
  tooManyCalls,
  tooManyConnections,
} from '../rpc/connections.ts';
import { statusOf } from '../rpc/errors.ts';
import { Handshakes } from '../rpc/handshakes.ts';
import { refusal } from '../rpc/roles.ts';
import { answerError, type Incoming, type Outgoing, WebRequest } from './request.ts';
import { type Route, routeOf } from './routes.ts';

export interface WebLimits {
  readonly maxConnections: number;
  readonly maxHandshakes: number;
  /** A connection that has not proved who it is within this is cut off, and so is a request that is not whole. */
  readonly handshakeMs: number;
  /** Bytes of the headers of one request. */
  readonly maxHeaderBytes: number;
  /** Requests at once on one connection. */
  readonly maxConcurrentStreams: number;
  /** What one client may have of all that. */
  readonly client: ClientLimits;
  /** How long requests may take to end when the port closes. */
  readonly stopMs: number;
}

/** A connection without requests is closed after this. */
const IDLE_MS = 30_000;
/** How long a connection that may ask for nothing is kept, so that its client can be told why. */
const REFUSED_MS = 10_000;
const REFUSED_AT_ONCE = 64;
/** How often it is looked for requests that do not come to their end. */
const LOOK_MS = 5000;
/** Memory of one HTTP/2 connection for headers and for answers that are not taken. */
const SESSION_MEMORY_MB = 16;

/** Who is at the other end of a connection. */
interface Guest {
  /** Why nothing is answered, or who it is. */
  readonly entry: JobletError | { readonly admission: Admission; readonly client: Client };
  readonly serial: string;
}

export class WebPort {
  readonly #server: Http2SecureServer;
  readonly #routes: readonly Route[];
  readonly #journal: CallJournal;
  readonly #limits: WebLimits;
  readonly #budget: BodyBudget;
  readonly #sockets = new Set<TLSSocket>();
  /** By address and port. */
  readonly #guests = new Map<string, Guest>();
  /** By certificate, as long as it is connected. */
  readonly #clients = new Map<string, Client>();
  #credentials: Credentials;
  #refusedNow = 0;
  #stopping: JobletError | undefined;

  constructor(
    credentials: Credentials,
    limits: WebLimits,
    routes: readonly Route[],
    journal: CallJournal,
  ) {
    this.#credentials = credentials;
    this.#limits = limits;
    this.#routes = routes;
    this.#journal = journal;
    this.#budget = new BodyBudget(limits.client.maxBodyBytes);
    const handshakes = new Handshakes(limits.maxHandshakes);
    const server = createSecureServer({
      ...contextOf(credentials),
      allowHTTP1: true,
      requestCert: true,
      // We refuse ourselves, with a reason that reaches the client.
      rejectUnauthorized: false,
      handshakeTimeout: limits.handshakeMs,
      maxSessionMemory: SESSION_MEMORY_MB,
      settings: {
        maxConcurrentStreams: limits.maxConcurrentStreams,
        maxHeaderListSize: limits.maxHeaderBytes,
        enablePush: false,
      },
    });
    Object.assign(server, {
      headersTimeout: limits.handshakeMs,
      requestTimeout: limits.handshakeMs,
      connectionsCheckingInterval: Math.min(limits.handshakeMs, LOOK_MS),
      keepAliveTimeout: IDLE_MS,
    });
    server.maxConnections = limits.maxConnections;
    server.prependListener('connection', (socket: Socket) => handshakes.begin(socket));
    server.prependListener('secureConnection', (socket: TLSSocket) => {
      handshakes.end(socket);
      this.#accept(socket);
    });
    server.on('tlsClientError', (error, socket) => {
      const tooSlow = slowHandshake(error, socket, limits.handshakeMs);
      if (tooSlow !== undefined) journal.refused(tooSlow);
      socket.destroy();
    });
    server.on('drop', (from) => journal.refused(tooMany(from, limits.maxConnections)));
    server.on('session', closeIdle);
    // A request that is no HTTP, or comes too slowly: nothing can be told to such a client.
    server.on('clientError', (_error: Error, socket: Socket) => socket.destroy());
    server.on('request', (incoming, outgoing) => void this.#serve(incoming, outgoing));
    this.#server = server;
  }

  /** Resolves with the port. */
  async listen(address: string, port: number): Promise<number> {
    this.#server.listen({ host: address, port });
    try {
      await once(this.#server, 'listening');
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      throw new JobletError(
        'unavailable',
        `cannot listen on ${address}:${port}: ${code ?? message}; choose another place (web.address, web.port)`,
        { cause },
      );
    }
    return (this.#server.address() as AddressInfo).port;
  }

  /** From now on these count; see Connections.update. */
  update(credentials: Credentials): void {
    const isSameAuthority = credentials.caCert === this.#credentials.caCert;
    this.#credentials = credentials;
    this.#server.setSecureContext(contextOf(credentials));
    for (const request of this.#requests()) {
      const reason = withdrawal(request.admission, Date.now(), credentials.revoked);
      if (reason !== undefined) request.stop(reason);
    }
    if (!isSameAuthority) this.#destroy();
  }

  /** Accepts nothing more, ends what would go on, and cuts off what has not ended after a while. */
  async stop(): Promise<void> {
    const reason = new JobletError('unavailable', STOPPING);
    this.#stopping = reason;
    const closed = once(this.#server, 'close');
    this.#server.close();
    const requests = [...this.#requests()];
    for (const request of requests) request.stop(reason);
    const timer = setTimeout(() => this.#destroy(), requests.length > 0 ? this.#limits.stopMs : 0);
    await closed;
    clearTimeout(timer);
  }

  *#requests() {
    for (const client of this.#clients.values()) yield* client.calls;
  }

  #destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: TLSSocket): void {
    // What goes wrong on it is seen by its requests; here it only must not end the daemon.
    socket.on('error', () => {});
    const key = addressOf(socket);
    this.#sockets.add(socket);
    this.#guests.set(key, this.#admit(socket));
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#guests.delete(key);
      this.#forgetAbsent();
    });
    lookAfter(socket);
  }

  #admit(socket: TLSSocket): Guest {
    const certificate = socket.getPeerCertificate();
    const serial = certificate.serialNumber?.toUpperCase() ?? '';
    const { authorized, authorizationError } = socket;
    try {
      const peer = { authorized, authorizationError, certificate };
      const admission = admit(peer, this.#credentials.revoked);
      const client = this.#clientOf(certificate.fingerprint256);
      if (!client.makeRoom()) throw tooManyConnections(admission, this.#limits.client);
      client.connect(socket);
      return { entry: { admission, client }, serial };
    } catch (error) {
      if (!(error instanceof JobletError)) throw error;
      this.#cutOffSoon(socket);
      return { entry: error, serial };
    }
  }

  #cutOffSoon(socket: TLSSocket): void {
    if (this.#refusedNow >= REFUSED_AT_ONCE) {
      socket.destroy();
      return;
    }
    this.#refusedNow += 1;
    const timer = setTimeout(() => socket.destroy(), REFUSED_MS).unref();
    socket.once('close', () => {
      clearTimeout(timer);
      this.#refusedNow -= 1;
    });
  }

  #clientOf(fingerprint: string): Client {
    const known = this.#clients.get(fingerprint);
    if (known !== undefined) return known;
    const client = new Client(this.#limits.client, this.#budget);
    this.#clients.set(fingerprint, client);
    return client;
  }

  #forgetAbsent(): void {
    for (const [key, client] of this.#clients) {
      if (!client.isConnected && client.calls.size === 0) this.#clients.delete(key);
    }
  }

  async #serve(incoming: Incoming, outgoing: Outgoing): Promise<void> {
    const startedMs = performance.now();
    outgoing.on('error', () => {});
    const carrier = 'stream' in incoming ? incoming.stream.session : { socket: incoming.socket };
    const key = carrier === undefined ? '' : addressOf(carrier.socket);
    const guest = this.#guests.get(key);
    const url = urlOf(incoming);
    const found = url && routeOf(this.#routes, url.pathname);
    const path = found?.route.path ?? '/';
    const peer = key.replace(' ', ':');
    // A body would have to be taken before the next request; nobody has a reason to send one.
    if (!('stream' in incoming) && hasBody(incoming)) outgoing.setHeader('connection', 'close');
    try {
      if (guest === undefined || carrier === undefined) throw gone;
      if (guest.entry instanceof JobletError) throw guest.entry;
      const { admission, client } = guest.entry;
      const may =
        this.#stopping ??
        withdrawal(admission, Date.now(), this.#credentials.revoked) ??
        (found && refusal(admission.caller, found.route.method)) ??
        (client.hasCallsEnough ? tooManyCalls(admission, this.#limits.client) : undefined);
      if (may !== undefined) throw may;
      if (url === undefined || found === undefined) throw unknown(this.#routes);
      if (incoming.method !== 'GET' && incoming.method !== 'HEAD') throw onlyGet;
      const request = new WebRequest(admission, url, peer, incoming, outgoing);
      client.begin(request, carrier);
      outgoing.once('close', () => client.end(request, carrier));
      await this.#answer(request, found.route, found.words, startedMs);
    } catch (error) {
      const caller =
        guest?.entry instanceof JobletError ? undefined : guest?.entry.admission.caller;
      const refused = error as JobletError;
      this.#journal.refused({
        path,
        peer,
        caller,
        certificate: guest?.serial ?? '',
        error: refused,
      });
      answerError(outgoing, error);
    }
  }

  async #answer(
    request: WebRequest,
    { path, answer }: Route,
    words: readonly string[],
    startedMs: number,
  ): Promise<void> {
    let failure: unknown;
    try {
      await answer(request, words);
    } catch (error) {
      failure = request.signal.aborted ? request.signal.reason : error;
      request.fail(failure);
    }
    const status = failure === undefined ? undefined : statusOf(failure);
    const durationMs = performance.now() - startedMs;
    this.#journal.ended({ path, call: request, status, durationMs });
  }
}

const gone = new JobletError('unavailable', 'the connection is gone');
const onlyGet = new JobletError('unsupported', 'only GET is answered here');

function unknown(routes: readonly Route[]): JobletError {
  const known = routes.map(({ path }) => path).join(', ');
  return new JobletError('not-found', `there is no such page; there is ${known}`);
}

function urlOf({ url = '' }: Incoming): URL | undefined {
  return URL.parse(url, 'https://node') ?? undefined;
}

function hasBody({ headers }: Incoming): boolean {
  const { 'content-length': length = '0', 'transfer-encoding': encoding } = headers;
  return encoding !== undefined || length !== '0';
}

/** An HTTP/2 connection that carries nothing is closed; of HTTP/1.1 Node does so itself. */
function closeIdle(session: Http2Session): void {
  session.setTimeout(IDLE_MS, () => session.close());
}
