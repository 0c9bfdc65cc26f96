// One request that was let in: who asks, and the one answer that it gets. A reader of a long answer is
// waited for, and is cut off when it takes nothing for too long.

import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { JobletError } from '../../shared/errors.ts';
import type { Identity } from '../jobs/job.ts';
import type { Admission } from '../rpc/admission.ts';
import type { CallUnderWay } from '../rpc/clients.ts';
import { CanceledCall, statusOf } from '../rpc/errors.ts';
import type { Call } from '../rpc/handlers.ts';
import { identityOf } from '../rpc/roles.ts';
import { httpCodeOf } from './status.ts';

export type Incoming = IncomingMessage | Http2ServerRequest;
export type Outgoing = ServerResponse | Http2ServerResponse;

/** A reader that takes nothing for so long is cut off; it can go on where it was. */
const STALL_MS = 60_000;

/** What no browser may do with an answer: guess what it is, keep it, or lend it to other sites. */
const GUARDS: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
};

export class WebRequest implements Call, CallUnderWay {
  readonly admission: Admission;
  readonly identity: Identity;
  readonly peer: string;
  readonly url: URL;
  readonly #incoming: Incoming;
  readonly #outgoing: Outgoing;
  readonly #controller = new AbortController();

  constructor(
    admission: Admission,
    url: URL,
    peer: string,
    incoming: Incoming,
    outgoing: Outgoing,
  ) {
    this.admission = admission;
    this.identity = identityOf(admission.caller, admission.serial, peer);
    this.url = url;
    this.peer = peer;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    outgoing.once('close', () => this.#controller.abort(new CanceledCall()));
  }

  /** Aborted when nobody waits for the answer any more, or the daemon stops. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Of a header that may be sent once; empty when it was not. */
  header(name: string): string {
    const value = this.#incoming.headers[name];
    return typeof value === 'string' ? value : '';
  }

  stop(reason: JobletError): void {
    this.#controller.abort(reason);
  }

  /** The whole answer at once. */
  answer(code: number, contentType: string, body: string): void {
    answer(this.#outgoing, code, contentType, body);
  }

  /** Nothing, and nothing to come. */
  answerEmpty(): void {
    writeHead(this.#outgoing, 204, {});
    this.#outgoing.end();
  }

  /** Begins an answer that is written piece by piece. */
  begin(contentType: string): void {
    writeHead(this.#outgoing, 200, { 'content-type': contentType });
  }

  /** Whether what was written has been taken, so that more would not have to wait. */
  get isTaken(): boolean {
    return !this.#outgoing.writableNeedDrain;
  }

  /**
   * Writes a piece. Resolves when the reader has room for more.
   * @throws JobletError exhausted, when it takes nothing for a minute
   */
  async write(piece: string): Promise<void> {
    this.signal.throwIfAborted();
    if (write(this.#outgoing, piece)) return;
    const stalled = new AbortController();
    const timer = setTimeout(() => stalled.abort(), STALL_MS).unref();
    const signal = AbortSignal.any([this.signal, stalled.signal]);
    try {
      await once(this.#outgoing, 'drain', { signal });
    } catch (error) {
      this.signal.throwIfAborted();
      if (!stalled.signal.aborted) throw error;
      throw new JobletError('exhausted', `the reader took nothing for ${STALL_MS / 1000} seconds`);
    } finally {
      clearTimeout(timer);
    }
  }

  end(): void {
    this.#outgoing.end();
  }

  /** Ends it with an error: as the answer, or by cutting it off where that has begun. */
  fail(error: unknown): void {
    if (this.#outgoing.headersSent) cutOff(this.#outgoing);
    else answerError(this.#outgoing, error);
  }
}

/** Answers with what went wrong, as an object for programs that people can read. */
export function answerError(outgoing: Outgoing, error: unknown): void {
  const { kind, details } = statusOf(error);
  const body = JSON.stringify({ error: { kind, message: details } });
  answer(outgoing, httpCodeOf(kind), 'application/json', `${body}\n`);
}

function answer(outgoing: Outgoing, code: number, contentType: string, body: string): void {
  const headers = { 'content-type': contentType, 'content-length': Buffer.byteLength(body) };
  writeHead(outgoing, code, headers);
  outgoing.end(body);
}

function writeHead(
  outgoing: Outgoing,
  code: number,
  headers: Readonly<Record<string, string | number>>,
): void {
  outgoing.statusCode = code;
  for (const [name, value] of Object.entries({ ...GUARDS, ...headers })) {
    outgoing.setHeader(name, value);
  }
}

function write(outgoing: Outgoing, piece: string): boolean {
  return (outgoing as ServerResponse).write(piece);
}

function cutOff(outgoing: Outgoing): void {
  if ('stream' in outgoing) outgoing.stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  else outgoing.destroy();
}
