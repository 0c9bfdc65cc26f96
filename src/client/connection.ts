// One connection to a daemon: gRPC over HTTP/2 over mutual TLS, with nothing but Node's own modules. A
// daemon hangs up on who is idle, and may be started again: then the next call makes the connection anew.
//
// The order of steps matters for the start-up time: the handshake is begun first, and HTTP/2 is
// loaded (4 ms) while the daemon answers it.

import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import tls from 'node:tls';
import { JobletError, messageOf } from '../shared/errors.ts';
import { checkCertificates } from './certificates.ts';
import { connectionError } from './connection-error.ts';
import { Frames, frame } from './framing.ts';
import type { Method } from './methods.ts';
import type { Node } from './nodes-file.ts';
import { Away, CallError, errorOfStatus } from './status.ts';

/** The name in every daemon's certificate, wherever it is reached. */
const SERVER_NAME = 'joblet';

/** How often an open call asks whether the daemon is still there, and how long it waits. */
const KEEPALIVE_MS = 30_000;
const KEEPALIVE_TIMEOUT_MS = 10_000;

/** How long connecting may take, all told. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Bytes that may be on their way for one stream, and for all: a slow reader stops the daemon. */
const STREAM_WINDOW_BYTES = 1024 * 1024;
const SESSION_WINDOW_BYTES = 4 * 1024 * 1024;
/** Beyond 10 MB, its default, Node refuses new calls beside uploads that are on their way. */
const SESSION_MEMORY_MB = 4096;

export interface CallOptions {
  /** Ends the call when aborted; the call then fails with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Fails the call after this time; the daemon is told as well. */
  readonly deadlineMs?: number | undefined;
  /** The span that the call belongs to, as W3C's `traceparent`. */
  readonly traceparent?: string | undefined;
}

export interface Connection {
  /** One request, one answer. */
  unary<I, O>(method: Method<I, O>, message: I, options?: CallOptions): Promise<O>;
  /** One request, many answers; they are read from the network as fast as they are taken. */
  serverStream<I, O>(method: Method<I, O>, message: I, options?: CallOptions): AsyncIterable<O>;
  /** Many requests, one answer, which may come before the last request was sent. */
  clientStream<I, O>(
    method: Method<I, O>,
    messages: AsyncIterable<I> | Iterable<I>,
    options?: CallOptions,
  ): Promise<O>;
  close(): void;
}

/**
 * Makes this process trust no CA but those that nodes name. A process that talks to nothing else
 * saves the 10 ms in which Node would read the CAs it ships with.
 */
export function trustNoOthers(): void {
  tls.setDefaultCACertificates([]);
}

/**
 * Begins a connection. Certificates are checked here; that nobody answers is learned by the first
 * call.
 * @throws JobletError unauthenticated or invalid, for certificates that cannot work
 */
export function connect(node: Node, always: Pick<CallOptions, 'traceparent'> = {}): Connection {
  return new Http2Connection(node, always);
}

/** One socket, and the calls on it. */
class Link {
  readonly #socket: tls.TLSSocket;
  readonly #session: Promise<ClientHttp2Session>;
  /** Why it broke: what its calls report is only that it did. */
  #broken: JobletError | undefined;
  #isLeft = false;
  readonly #explain: (error: unknown) => JobletError;

  constructor(node: Node) {
    checkCertificates(node, Date.now());
    let secured = false;
    let heard = false;
    this.#explain = (error) => {
      const code = (error as { code?: string } | undefined)?.code;
      const silent = secured && !heard && (error === undefined || code === 'ECONNRESET');
      const found = silent ? { code: 'SILENT_REFUSAL' } : error;
      return this.#broken ?? connectionError(found, node, heard);
    };
    this.#socket = openSocket(node);
    const late = setTimeout(() => {
      this.#socket.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' }));
    }, CONNECT_TIMEOUT_MS);
    this.#socket.once('secureConnect', () => {
      secured = true;
      clearTimeout(late);
    });
    this.#socket.once('close', () => clearTimeout(late));
    this.#session = new Promise((resolve, reject) => {
      // Also without an error, as when it is closed from here: whoever waits for it must hear of that.
      this.#socket.once('close', () => reject(this.#explain({ code: 'ECONNRESET' })));
      this.#socket.on('error', (error) => {
        this.#broken ??= this.#explain(error);
        reject(this.#broken);
      });
      this.#socket.once('connect', () => {
        const { connect } = process.getBuiltinModule('node:http2');
        const session = connect(`https://${SERVER_NAME}`, {
          createConnection: () => this.#socket,
          settings: { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES },
          maxSessionMemory: SESSION_MEMORY_MB,
        });
        session.once('remoteSettings', () => {
          heard = true;
        });
        session.once('goaway', () => {
          this.#isLeft = true;
        });
        session.on('error', (error) => {
          this.#broken ??= this.#explain(error);
        });
        session.once('connect', () => {
          session.setLocalWindowSize(SESSION_WINDOW_BYTES);
          keepAlive(session);
          resolve(session);
        });
      });
    });
    // Whoever calls hears of it; a connection that nobody used must not end the process.
    this.#session.catch(() => {});
  }

  get isGone(): boolean {
    return this.#socket.destroyed;
  }

  /** Whether it takes no calls any more; the last ones may be under way. */
  get isOver(): boolean {
    return this.#isLeft || this.isGone;
  }

  async call(path: string, options: CallOptions): Promise<Call> {
    const session = await this.#session;
    try {
      return new Call(session, path, this.#explain, options);
    } catch (error) {
      throw this.#explain(error);
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}

class Http2Connection implements Connection {
  readonly #node: Node;
  /** What holds for each call that does not say otherwise. */
  readonly #always: Pick<CallOptions, 'traceparent'>;
  /** That of the next call, which may be over, and those before it that have calls still. */
  #link: Link;
  #left: readonly Link[] = [];
  #isClosed = false;

  constructor(node: Node, always: Pick<CallOptions, 'traceparent'>) {
    this.#node = node;
    this.#always = always;
    this.#link = new Link(node);
  }

  async unary<I, O>(method: Method<I, O>, message: I, options: CallOptions = {}): Promise<O> {
    return this.clientStream(method, [message], options);
  }

  async clientStream<I, O>(
    method: Method<I, O>,
    messages: AsyncIterable<I> | Iterable<I>,
    options: CallOptions = {},
  ): Promise<O> {
    const call = await this.#call(method.path, options);
    const sending = send(call.stream, method, messages);
    // A failure to read the source of messages ends the call; a failure to send shows up as its end.
    sending.catch((error: unknown) => call.fail(error));
    let answer: O | undefined;
    for await (const bytes of call.messages()) answer = method.decode(bytes);
    if (answer === undefined) throw call.explain(undefined);
    return answer;
  }

  serverStream<I, O>(
    method: Method<I, O>,
    message: I,
    options: CallOptions = {},
  ): AsyncIterable<O> {
    // The request leaves now, not when the first answer is asked for.
    const calling = this.#call(method.path, options).then((call) => {
      call.stream.end(frame(method.encode(message)));
      return call;
    });
    calling.catch(() => {});
    return (async function* () {
      for await (const bytes of (await calling).messages()) yield method.decode(bytes);
    })();
  }

  close(): void {
    this.#isClosed = true;
    for (const link of [this.#link, ...this.#left]) link.close();
  }

  async #call(path: string, options: CallOptions): Promise<Call> {
    options.signal?.throwIfAborted();
    if (this.#link.isOver && !this.#isClosed) {
      this.#left = [this.#link, ...this.#left].filter(({ isGone }) => !isGone);
      this.#link = new Link(this.#node);
    }
    return this.#link.call(path, { ...this.#always, ...options });
  }
}

function openSocket(node: Node): tls.TLSSocket {
  const socket = beginTls(node, {
    // Asking Node whether `localhost` is an IPv6 address compiles a regular expression of 5 ms.
    host: node.host === 'localhost' ? '127.0.0.1' : node.host,
    port: node.port,
    ca: node.ca,
    cert: node.cert,
    key: node.key,
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['h2'],
    checkServerIdentity: (_host, certificate) => {
      const names = certificate.subjectaltname?.split(', ') ?? [];
      return names.includes(`DNS:${SERVER_NAME}`)
        ? undefined
        : new JobletError(
            'unauthenticated',
            `${node.host}:${node.port} has a certificate of our CA, but not one of a daemon: it lacks the name '${SERVER_NAME}'; ` +
              'have the server certificate made again with `joblet certs`',
          );
    },
  });
  // As an option it would be held against the same regular expression.
  (socket as tls.TLSSocket & { setServername(name: string): void }).setServername(SERVER_NAME);
  return socket;
}

/** Certificate and key are looked at before anything is sent, and this throws when they are no pair. */
function beginTls(node: Node, options: tls.ConnectionOptions): tls.TLSSocket {
  try {
    return tls.connect(options);
  } catch (error) {
    throw new JobletError(
      'invalid',
      `certificate and key of ${node.source} are no pair: ${messageOf(error)}; copy both again from the server`,
      { cause: error },
    );
  }
}

function keepAlive(session: ClientHttp2Session): void {
  const timer = setInterval(() => {
    const silence = setTimeout(() => {
      session.destroy(new Away(`the daemon has not answered for ${KEEPALIVE_TIMEOUT_MS} ms`));
    }, KEEPALIVE_TIMEOUT_MS);
    session.ping(() => clearTimeout(silence));
  }, KEEPALIVE_MS);
  timer.unref();
  session.once('close', () => clearInterval(timer));
}

async function send<I, O>(
  stream: ClientHttp2Stream,
  method: Method<I, O>,
  messages: AsyncIterable<I> | Iterable<I>,
): Promise<void> {
  for await (const message of messages) {
    if (stream.closed || stream.destroyed) return;
    if (!stream.write(frame(method.encode(message)))) await writable(stream);
  }
  stream.end();
}

/** Resolves when the stream takes more, or will never again. */
function writable(stream: ClientHttp2Stream): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stream.off('drain', done).off('close', done);
      resolve();
    };
    stream.on('drain', done).on('close', done);
  });
}

/** One call: a stream, what its headers and trailers said, and why it ended early, if it did. */
class Call {
  readonly stream: ClientHttp2Stream;
  #status: string | undefined;
  #message: string | undefined;
  #failure: unknown;
  /** What a failure of its connection means. */
  readonly explain: (error: unknown) => JobletError;
  readonly #done: (() => void)[] = [];

  constructor(
    session: ClientHttp2Session,
    path: string,
    explain: (error: unknown) => JobletError,
    options: CallOptions,
  ) {
    this.explain = explain;
    const { deadlineMs, signal, traceparent } = options;
    this.stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...(deadlineMs === undefined ? {} : { 'grpc-timeout': `${deadlineMs}m` }),
      ...(traceparent === undefined ? {} : { traceparent }),
    });
    this.stream.on('response', (headers) => {
      if (headers[':status'] !== 200) {
        this.fail(
          new CallError(
            'UNAVAILABLE',
            `HTTP status ${headers[':status']}: this is no Joblet daemon`,
          ),
        );
      }
      this.#read(headers);
    });
    this.stream.on('trailers', (headers) => this.#read(headers));
    this.stream.on('error', (error) => {
      this.#failure ??= explain(error);
    });
    this.#limit(deadlineMs, signal);
  }

  /** Ends the call; whoever reads it gets `reason`. */
  fail(reason: unknown): void {
    this.#failure ??= reason;
    this.stream.close(process.getBuiltinModule('node:http2').constants.NGHTTP2_CANCEL);
  }

  /**
   * The messages of the answer; throws what the call failed with. Not by iterating over the stream:
   * what Node loads and sets up for that takes longer than a small call.
   */
  async *messages(): AsyncGenerator<Buffer, void> {
    const frames = new Frames();
    const ready: Buffer[] = [];
    let moved = Promise.withResolvers<void>();
    this.stream.on('data', (piece: Buffer) => {
      try {
        ready.push(...frames.push(piece));
      } catch (error) {
        this.fail(error);
      }
      // No more than one piece ahead of whoever takes the messages.
      if (ready.length > 0) this.stream.pause();
      moved.resolve();
    });
    let closed = this.stream.destroyed;
    this.stream.once('close', () => {
      closed = true;
      moved.resolve();
    });
    try {
      for (;;) {
        for (let next = ready.shift(); next !== undefined; next = ready.shift()) yield next;
        if (closed) break;
        moved = Promise.withResolvers();
        this.stream.resume();
        await moved.promise;
      }
    } finally {
      for (const undo of this.#done) undo();
      // Taken only in part: the daemon need not send the rest.
      if (!closed) this.fail(undefined);
    }
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#status === undefined || frames.torn) throw this.explain(undefined);
    const failure = errorOfStatus(this.#status, this.#message);
    if (failure !== undefined) throw failure;
  }

  #read(headers: Readonly<Record<string, string | string[] | number | undefined>>): void {
    const status = headers['grpc-status'];
    const message = headers['grpc-message'];
    if (status !== undefined) this.#status = String(status);
    if (message !== undefined) this.#message = String(message);
  }

  #limit(deadlineMs: number | undefined, signal: AbortSignal | undefined): void {
    if (deadlineMs !== undefined) {
      const timer = setTimeout(() => {
        this.fail(
          new CallError(
            'DEADLINE_EXCEEDED',
            `the daemon did not answer within ${deadlineMs / 1000} s; it may be busy, try again`,
          ),
        );
      }, deadlineMs);
      this.#done.push(() => clearTimeout(timer));
    }
    if (signal !== undefined) {
      const abort = () => this.fail(signal.reason);
      signal.addEventListener('abort', abort, { once: true });
      this.#done.push(() => signal.removeEventListener('abort', abort));
    }
  }
}
