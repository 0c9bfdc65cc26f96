// A call that was let in. It stands between grpc-js and a handler: it knows who calls, and a
// stopping daemon can end it.

import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
} from '@grpc/grpc-js';
import type { JobletError } from '../../shared/errors.ts';
import type { Identity } from '../jobs/job.ts';
import type { Admission } from './admission.ts';
import { okStatus, statusOf } from './errors.ts';
import { identityOf } from './roles.ts';

type Listener = Parameters<ServerInterceptingCallInterface['start']>[0];
type Status = Parameters<ServerInterceptingCallInterface['sendStatus']>[0];
type AuthContext = ReturnType<ServerInterceptingCallInterface['getAuthContext']>;

export class AdmittedCall extends ServerInterceptingCall {
  readonly identity: Identity;
  readonly admission: Admission;
  /** Set by a handler that can end the call itself, with what it has to clear away. */
  onStop: ((reason: JobletError) => void) | undefined;
  readonly #next: ServerInterceptingCallInterface;
  readonly #open: Set<AdmittedCall>;

  /** Is in `open` for as long as it lasts. */
  constructor(
    next: ServerInterceptingCallInterface,
    admission: Admission,
    open: Set<AdmittedCall>,
  ) {
    super(next);
    this.#next = next;
    this.#open = open;
    this.admission = admission;
    this.identity = identityOf(admission.caller);
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

  override start(listener: Listener): void {
    this.#open.add(this);
    const onCancel = listener.onCancel;
    // grpc-js says this at the end of every call, however it ended.
    listener.onCancel = () => {
      this.#open.delete(this);
      onCancel.call(listener);
    };
    this.#next.start(listener);
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

/** A call that has been answered with a refusal: its body is never read. */
export class RefusedCall extends ServerInterceptingCall {
  override start(): void {}
}
