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
import { okStatus, statusOf } from './errors.ts';
import { identityOf } from './roles.ts';

type Listener = Parameters<ServerInterceptingCallInterface['start']>[0];
type Status = Parameters<ServerInterceptingCallInterface['sendStatus']>[0];
type AuthContext = ReturnType<ServerInterceptingCallInterface['getAuthContext']>;

/** A request up to this size is always taken: most are smaller, and others must not wait for big ones. */
const SMALL_BYTES = 64 * 1024;

/** A bigger request of which nothing more arrives for so long is cut off. */
const STALL_MS = 60_000;

/** What a client may send of a body before it has to have seen our answer: HTTP/2's first window. */
const WINDOW_BYTES = 64 * 1024;

/** What calls have in common. */
export interface CallScope {
  /** Calls that are under way. */
  readonly open: Set<AdmittedCall>;
  readonly budget: BodyBudget;
}

export class AdmittedCall extends ServerInterceptingCall {
  readonly identity: Identity;
  readonly admission: Admission;
  /** Set by a handler that can end the call itself, with what it has to clear away. */
  onStop: ((reason: JobletError) => void) | undefined;
  readonly #next: ServerInterceptingCallInterface;
  readonly #scope: CallScope;
  /** Bytes of its requests that have arrived and that nobody has dealt with. */
  #heldBytes = 0;
  #isRefused = false;
  #stall: NodeJS.Timeout | undefined;

  constructor(next: ServerInterceptingCallInterface, admission: Admission, scope: CallScope) {
    super(next);
    this.#next = next;
    this.#scope = scope;
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
    this.#heldBytes -= bytes;
    this.#scope.budget.give(bytes);
  }

  /** Cuts the call off, whatever is still on its way to the client. */
  reset(): void {
    streamOf(this.#next)?.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  override start(listener: Listener): void {
    this.#scope.open.add(this);
    const { onCancel, onReceiveHalfClose } = listener;
    // grpc-js says this at the end of every call, however it ended.
    listener.onCancel = () => {
      this.#scope.open.delete(this);
      onCancel.call(listener);
    };
    listener.onReceiveHalfClose = () => {
      clearTimeout(this.#stall);
      onReceiveHalfClose.call(listener);
    };
    const stream = streamOf(this.#next);
    stream?.on('data', (chunk: Buffer) => this.#receive(chunk.length));
    stream?.once('close', () => {
      clearTimeout(this.#stall);
      this.release(this.#heldBytes);
    });
    this.#next.start(listener);
  }

  #receive(bytes: number): void {
    const { budget } = this.#scope;
    this.#heldBytes += bytes;
    budget.take(bytes);
    if (this.#isRefused || this.#heldBytes <= SMALL_BYTES) return;
    this.#stall ??= setTimeout(() => this.reset(), STALL_MS).unref();
    this.#stall.refresh();
    if (!budget.isSpent) return;
    this.#isRefused = true;
    refuse(
      this.#next,
      new JobletError(
        'exhausted',
        'the daemon is receiving too much at once; try again, or send files by UploadFiles',
      ),
    );
  }

  // There is nothing to intercept on the way out: straight on, past the base class.
  override sendMetadata(metadata: Metadata): void {
    this.#next.sendMetadata(metadata);
  }

  override sendMessage(message: unknown, callback: () => void): void {
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

/** grpc-js does not hand out the stream below a call, and offers neither its bytes nor its end. */
function streamOf(call: ServerInterceptingCallInterface): Http2Stream | undefined {
  return (call as { readonly stream?: Http2Stream }).stream;
}
