// A call that was let in. It stands between grpc-js and a handler: it knows who calls, counts what
// arrives, and can be ended from outside.

import { constants, type Http2Stream } from 'node:http2';
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
} from '@grpc/grpc-js';
import { JobletError } from '../../shared/errors.ts';
import type { Identity } from '../jobs/job.ts';
import type { Admission } from './admission.ts';
import type { BodyBudget } from './body-budget.ts';
import type { Client } from './clients.ts';
import { okStatus, statusOf } from './errors.ts';
import { Framed } from './framed.ts';
import { identityOf } from './roles.ts';

type Listener = Parameters<ServerInterceptingCallInterface['start']>[0];
type Status = Parameters<ServerInterceptingCallInterface['sendStatus']>[0];
type AuthContext = ReturnType<ServerInterceptingCallInterface['getAuthContext']>;

/** A request up to this size is always taken: most are smaller, and others must not wait for big ones. */
const SMALL_BYTES = 64 * 1024;

/** Deflate makes of one byte at most so many. */
const MOST_INFLATED = 1032;

/** A bigger request of which nothing more arrives for so long is cut off. */
const STALL_MS = 60_000;

/** What a client may send of a body before it has to have seen our answer: HTTP/2's first window. */
const WINDOW_BYTES = 64 * 1024;

export class AdmittedCall extends ServerInterceptingCall {
  readonly identity: Identity;
  readonly admission: Admission;
  /** Set by a handler that can end the call itself, with what it has to clear away. */
  onStop: ((reason: JobletError) => void) | undefined;
  readonly #next: ServerInterceptingCallInterface;
  readonly #client: Client;
  readonly #maxRequestBytes: number;
  readonly #isCompressed: boolean;
  /** Bytes of its requests that have arrived and that nobody has dealt with. */
  #heldBytes = 0;
  #isRefused = false;
  #stall: NodeJS.Timeout | undefined;

  /** Refuses requests of more than `maxRequestBytes` each. */
  constructor(
    next: ServerInterceptingCallInterface,
    admission: Admission,
    client: Client,
    maxRequestBytes: number,
  ) {
    super(next);
    limitRequests(next, maxRequestBytes);
    this.#maxRequestBytes = maxRequestBytes;
    this.#next = next;
    this.#client = client;
    this.#isCompressed = isCompressed(next);
    this.admission = admission;
    this.identity = identityOf(admission.caller, admission.serial, next.getPeer());
  }

  /** Ends the call, because the daemon stops or the caller's certificate was revoked. */
  stop(reason: JobletError): void {
    if (this.onStop !== undefined) this.onStop(reason);
    else this.#next.sendStatus(statusOf(reason));
  }

  /**
   * Sends the only answer of a call. grpc-js's own way sends the status when the answer has left the
   * process, a turn of the event loop and a packet later.
   */
  answer(message: unknown): void {
    this.#next.sendMessage(message, () => {});
    this.#next.sendStatus(okStatus);
  }

  /** A part of the requests has been dealt with. */
  release(bytes: number): void {
    const given = Math.min(bytes, this.#heldBytes);
    this.#heldBytes -= given;
    this.#client.budget.give(given);
    if (this.#heldBytes > SMALL_BYTES) return;
    clearTimeout(this.#stall);
    this.#stall = undefined;
  }

  /** What of all its client's streams is on the way to it. */
  get answers(): BodyBudget {
    return this.#client.answers;
  }

  /** Cuts the call off, whatever is still on its way to the client. */
  reset(): void {
    streamOf(this.#next)?.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  override start(listener: Listener): void {
    const stream = streamOf(this.#next);
    const session = stream?.session;
    this.#client.begin(this, session);
    const { onCancel, onReceiveHalfClose } = listener;
    // grpc-js says this at the end of every call, however it ended.
    listener.onCancel = () => {
      this.#client.end(this, session);
      onCancel.call(listener);
    };
    listener.onReceiveHalfClose = () => {
      clearTimeout(this.#stall);
      // A request that was refused may have arrived whole all the same: it must not be acted upon.
      if (!this.#isRefused) onReceiveHalfClose.call(listener);
    };
    // Ahead of grpc-js, which may have to be kept from taking it.
    stream?.prependListener('data', (chunk: Buffer) => this.#receive(chunk.length));
    stream?.once('close', () => {
      clearTimeout(this.#stall);
      this.release(this.#heldBytes);
    });
    this.#next.start(listener);
  }

  #receive(arrivedBytes: number): void {
    const { budget } = this.#client;
    const bytes = this.#isCompressed ? this.#inflated(arrivedBytes) : arrivedBytes;
    this.#heldBytes += bytes;
    budget.take(bytes);
    if (this.#isRefused || this.#heldBytes <= SMALL_BYTES) return;
    this.#stall ??= setTimeout(() => this.reset(), STALL_MS).unref();
    this.#stall.refresh();
    if (!budget.isSpent) return;
    this.#isRefused = true;
    // What is compressed may get a thousand times as big: nothing of it is to be looked at.
    takeAsItIs(this.#next);
    const error = new JobletError(
      'exhausted',
      'the daemon is receiving too much at once; try again, or send files by UploadFiles',
    );
    // The handler of a stream is at work already.
    if (this.onStop !== undefined) this.onStop(error);
    else refuse(this.#next, error);
  }

  /** What compressed bytes may become: by then it is too late to refuse them. */
  #inflated(bytes: number): number {
    const most = Math.max(0, this.#maxRequestBytes - this.#heldBytes);
    return Math.min(bytes * MOST_INFLATED, most);
  }

  // There is nothing to intercept on the way out: straight on, past the base class.
  override sendMetadata(metadata: Metadata): void {
    this.#next.sendMetadata(metadata);
  }

  override sendMessage(message: unknown, callback: () => void): void {
    if (message instanceof Framed) sendAsItIs(this.#next);
    this.#next.sendMessage(message, callback);
  }

  override sendStatus(status: Status): void {
    this.#next.sendStatus(status);
  }

  /** The one thing that grpc-js hands to a handler unchanged: the call itself. */
  override getAuthContext(): AuthContext {
    return this as object;
  }
}

/** The call that a handler was given. */
export function admittedCall(call: { getAuthContext(): AuthContext }): AdmittedCall {
  const context = call.getAuthContext();
  if (context instanceof AdmittedCall) return context;
  throw new Error('a call reached its handler without having been let in');
}

/** Answers a call with an error; a client that goes on sending in spite of it is cut off. */
export function refuse(call: ServerInterceptingCallInterface, error: JobletError): void {
  call.sendStatus(statusOf(error));
  const stream = streamOf(call);
  let bytes = 0;
  stream?.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > WINDOW_BYTES) stream.close(constants.NGHTTP2_NO_ERROR);
  });
}

/** A call that has been refused: its body is never read. */
export class RefusedCall extends ServerInterceptingCall {
  override start(): void {}
}

// grpc-js keeps these to itself: the stream below a call, how its requests are compressed, the limit of
// their size, which it takes to be the same for every method, and how it frames what it sends.
interface Inside {
  readonly stream?: Http2Stream;
  incomingEncoding?: string;
  maxReceiveMessageSize?: number;
  serializeMessage?: (message: Framed) => Buffer;
  readonly decoder?: { maxReadMessageLength: number };
}

function streamOf(call: ServerInterceptingCallInterface): Http2Stream | undefined {
  return (call as Inside).stream;
}

function isCompressed(call: ServerInterceptingCallInterface): boolean {
  return (call as Inside).incomingEncoding !== 'identity';
}

function takeAsItIs(call: ServerInterceptingCallInterface): void {
  (call as Inside).incomingEncoding = 'identity';
}

/** Has it pass on what it would have framed; a call that sends such messages sends no others. */
function sendAsItIs(call: ServerInterceptingCallInterface): void {
  (call as Inside).serializeMessage = bytesOfFramed;
}

function bytesOfFramed({ bytes }: Framed): Buffer {
  return bytes;
}

/** Limits what one request says of its size, and what it has when it is decompressed. */
function limitRequests(call: ServerInterceptingCallInterface, bytes: number): void {
  const inside = call as Inside;
  inside.maxReceiveMessageSize = bytes;
  if (inside.decoder !== undefined) inside.decoder.maxReadMessageLength = bytes;
}
