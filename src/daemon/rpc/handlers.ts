// Joins handlers to grpc-js. A handler is a plain async function for one answer, or an async
// generator for many; what it throws, also in the middle of a stream, becomes a status here.

import type { Message, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import {
  create,
  type DescMethod,
  type DescService,
  fromBinary,
  toBinary,
} from '@bufbuild/protobuf';
import type { GenService, GenServiceMethods } from '@bufbuild/protobuf/codegenv2';
import type {
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  Server,
  ServerWritableStream,
} from '@grpc/grpc-js';
import { JobletError } from '../../shared/errors.ts';
import type { Clock } from '../jobs/due.ts';
import type { Identity } from '../jobs/job.ts';
import type { Tracing } from '../telemetry/tracing.ts';
import { type AdmittedCall, admittedCall } from './admitted-call.ts';
import type { BodyBudget } from './body-budget.ts';
import { CanceledCall, type RpcStatus, statusOf } from './errors.ts';
import { hasTooManyFields, MAX_FIELDS } from './field-count.ts';
import { FRAME_BYTES, Framed } from './framed.ts';
import { traced } from './traced-calls.ts';

/** A call as its handler sees it. */
export interface Call {
  readonly identity: Identity;
  /** Where the caller is, as `address:port`. */
  readonly peer: string;
  /** A header that the client sent; empty where it did not. */
  header(name: string): string;
  /** Aborted when nobody waits for the answer any more, or the daemon stops. */
  readonly signal: AbortSignal;
}

/** An answer as it travels, for those that are too long to be made at once. */
export class Encoded {
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
}

type Handler<M extends Pick<DescMethod, 'methodKind' | 'input' | 'output'>> = M extends {
  methodKind: 'unary';
}
  ? (
      request: MessageShape<M['input']>,
      call: Call,
    ) => Promise<MessageInitShape<M['output']> | Encoded>
  : M extends { methodKind: 'server_streaming' }
    ? (
        request: MessageShape<M['input']>,
        call: Call,
      ) => AsyncIterable<MessageInitShape<M['output']> | Framed>
    : M extends { methodKind: 'client_streaming' }
      ? (
          requests: AsyncIterable<MessageShape<M['input']>>,
          call: Call,
        ) => Promise<MessageInitShape<M['output']>>
      : never;

/** Handlers of a service, by the names of its methods; those that are missing come later. */
export type Handlers<S> =
  S extends GenService<infer Methods extends GenServiceMethods>
    ? { readonly [K in keyof Methods]?: Handler<Methods[K]> }
    : never;

/** What is said about each call when it has ended. */
export interface CallRecord {
  readonly path: string;
  readonly call: Call;
  /** Undefined when it went well. */
  readonly status: RpcStatus | undefined;
  readonly durationMs: number;
}
export type Journal = (record: CallRecord) => void;

/** Bytes of answers that one stream may have under way; a reader that is slower is waited for. */
const STREAM_WINDOW_BYTES = 128 * 1024;

/** One message of a stream of requests: there may be many of them under way at once. */
const STREAM_MESSAGE_BYTES = 4 * 1024 * 1024;

/** When a reader that takes nothing is cut off; it can go on where it was. */
export interface StallLimits {
  readonly stallMs: number;
  /** The same when its client has too much on the way in all its streams. */
  readonly crowdedStallMs: number;
}

/** What is the same for all calls of a server. */
export interface Around {
  readonly journal: Journal;
  readonly stalls: StallLimits;
  readonly clock: Clock;
  readonly tracing: Tracing | undefined;
}

// Requests carry nothing on to anybody, so fields that we do not know need not be kept.
const readOptions = { readUnknownFields: false } as const;

/** Serves all methods of a service; a method without a handler says that it comes later. */
export function serve<S extends DescService>(
  server: Server,
  service: S,
  handlers: Handlers<S>,
  around: Around,
): void {
  const { tracing } = around;
  const known = handlers as Readonly<Record<string, AnyHandler | undefined>>;
  for (const method of service.methods) {
    const path = `/${service.typeName}/${method.name}`;
    const plain = known[method.localName] ?? later(method);
    const isStream = method.methodKind === 'server_streaming';
    const handler = tracing === undefined ? plain : traced(tracing, path, isStream, plain);
    const route = { path, method, handler, around };
    const [type, handle] = adapt(route);
    server.register(
      path,
      handle as handleUnaryCall<unknown, unknown>,
      passOn,
      readerOf(method),
      type,
    );
  }
}

/** One for all calls: grpc-js says of every call that ends that it is canceled, and a stack is dear. */
const canceled = new CanceledCall();

type AnyMessage = Message;
// biome-ignore lint/suspicious/noExplicitAny: the types have been checked where handlers are written
export type AnyHandler = (request: any, call: Call) => any;

interface Route {
  readonly path: string;
  readonly method: DescMethod;
  readonly handler: AnyHandler;
  readonly around: Around;
}

/** A request, or what is wrong with it, and how long it was. */
interface Read {
  readonly message: AnyMessage | JobletError;
  readonly bytes: number;
}

function adapt(route: Route): [type: string, handle: unknown] {
  switch (route.method.methodKind) {
    case 'unary':
      return ['unary', unary(route)];
    case 'server_streaming':
      return ['serverStream', serverStream(route)];
    case 'client_streaming':
      return ['clientStream', clientStream(route)];
    case 'bidi_streaming':
      throw new Error(`${route.path}: streams in both directions are not served`);
  }
}

function unary(route: Route): handleUnaryCall<Read, Buffer> {
  return async (grpcCall, respond) => {
    const call = new LiveCall(grpcCall);
    try {
      const answer = await route.handler(whole(grpcCall.request), call);
      call.answer(bytesOf(route.method, answer));
      call.succeed(route);
    } catch (error) {
      respond(call.fail(route, error));
    }
  };
}

function clientStream(route: Route): handleClientStreamingCall<Read, Buffer> {
  return async (grpcCall, respond) => {
    const call = new LiveCall(grpcCall);
    // A daemon that stops waits for no more of the stream.
    call.signal.addEventListener('abort', () => grpcCall.destroy());
    async function* requests() {
      for await (const request of grpcCall as AsyncIterable<Read>) {
        yield whole(request);
        // Asked for the next one: this one has been dealt with.
        call.release(request.bytes + FRAME_BYTES);
      }
    }
    try {
      const answer = await route.handler(requests(), call);
      call.answer(bytesOf(route.method, answer));
      call.succeed(route);
    } catch (error) {
      respond(call.fail(route, error));
    }
  };
}

function serverStream(route: Route): handleServerStreamingCall<Read, Buffer | Framed> {
  return async (grpcCall) => {
    const call = new LiveCall(grpcCall);
    try {
      const writer = new StreamWriter(grpcCall, call, route.around);
      for await (const answer of route.handler(whole(grpcCall.request), call)) {
        await writer.write(answer instanceof Framed ? answer : bytesOf(route.method, answer));
        if (call.isOver) throw canceled;
      }
      call.failIfStopped();
      call.succeed(route);
      grpcCall.end();
    } catch (error) {
      const status = call.fail(route, error);
      if (!(error instanceof StalledReader) && !grpcCall.cancelled) grpcCall.emit('error', status);
    }
  };
}

/** A reader that is cut off: an answer would only wait behind what it does not take. */
class StalledReader extends JobletError {
  constructor(ms: number) {
    super('exhausted', `the reader took nothing for ${ms / 1000} seconds`);
  }
}

/** Waits for the reader when enough is under way to it. */
class StreamWriter {
  readonly #stream: ServerWritableStream<Read, Buffer | Framed>;
  readonly #call: Pick<LiveCall, 'reset'>;
  readonly #answers: BodyBudget;
  readonly #around: Pick<Around, 'stalls' | 'clock'>;
  #underWayBytes = 0;
  #wake: (() => void) | undefined;
  /** Something was taken, but not enough. */
  #wait: (() => void) | undefined;

  /** Its `answers` count what is on the way in all streams of the client. */
  constructor(
    stream: ServerWritableStream<Read, Buffer | Framed>,
    call: Pick<LiveCall, 'answers' | 'reset'>,
    around: Pick<Around, 'stalls' | 'clock'>,
  ) {
    this.#stream = stream;
    this.#call = call;
    this.#answers = call.answers;
    this.#around = around;
    stream.once('cancelled', () => {
      this.#arrived(this.#underWayBytes);
      this.#wake?.();
    });
  }

  async write(message: Buffer | Framed): Promise<void> {
    if (this.#stream.cancelled) return;
    const { length } = message instanceof Framed ? message.bytes : message;
    this.#underWayBytes += length;
    this.#answers.take(length);
    this.#stream.write(message, (error?: Error | null) => {
      // What failed, or was cut off, may still lie somewhere; what went well TLS has made its own of.
      if (message instanceof Framed && !error && !this.#stream.cancelled) message.left();
      this.#arrived(length);
      if (this.#hasRoom()) this.#wake?.();
      else this.#wait?.();
    });
    if (this.#hasRoom()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const { stalls, clock } = this.#around;
    let disarm = () => {};
    this.#wait = () => {
      disarm();
      const ms = this.#answers.isSpent ? stalls.crowdedStallMs : stalls.stallMs;
      disarm = clock.at(clock.now() + ms, () => {
        reject(new StalledReader(ms));
        // Also where the handler, which is left behind this, waits for something of its own.
        this.#call.reset();
      });
    };
    this.#wait();
    this.#wake = resolve;
    try {
      await promise;
    } finally {
      disarm();
      this.#wake = undefined;
      this.#wait = undefined;
    }
  }

  /** A client with too much on the way gets one message of each stream at a time. */
  #hasRoom(): boolean {
    return this.#underWayBytes <= (this.#answers.isSpent ? 0 : STREAM_WINDOW_BYTES);
  }

  /** Nothing arrives twice: a stream that ends has had all of it. */
  #arrived(bytes: number): void {
    const arrived = Math.min(bytes, this.#underWayBytes);
    this.#underWayBytes -= arrived;
    this.#answers.give(arrived);
  }
}

interface GrpcCall {
  readonly cancelled: boolean;
  readonly metadata: Metadata;
  getPeer(): string;
  getAuthContext(): ReturnType<AdmittedCall['getAuthContext']>;
  once(event: 'cancelled', listener: () => void): unknown;
}

class LiveCall implements Call {
  readonly identity: Identity;
  readonly #grpc: GrpcCall;
  readonly #admitted: AdmittedCall;
  readonly #startedMs = performance.now();
  #controller: AbortController | undefined;
  #stopped: JobletError | undefined;

  constructor(grpc: GrpcCall) {
    const admitted = admittedCall(grpc);
    this.#grpc = grpc;
    this.#admitted = admitted;
    this.identity = admitted.identity;
    admitted.onStop = (reason) => {
      this.#stopped = reason;
      this.#controller?.abort(reason);
    };
  }

  get peer(): string {
    return this.#grpc.getPeer();
  }

  header(name: string): string {
    return String(this.#grpc.metadata.get(name)[0] ?? '');
  }

  /** Nobody reads any more. */
  get isOver(): boolean {
    return this.#grpc.cancelled;
  }

  /** Most handlers do not ask, so it is made for those that do. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController();
      this.#controller = controller;
      if (this.#stopped !== undefined) controller.abort(this.#stopped);
      else if (this.#grpc.cancelled) controller.abort(canceled);
      else this.#grpc.once('cancelled', () => controller.abort(canceled));
    }
    return this.#controller.signal;
  }

  /** A part of a stream of requests has been dealt with. */
  release(bytes: number): void {
    this.#admitted.release(bytes);
  }

  /** What of all its client's streams is on the way to it. */
  get answers(): BodyBudget {
    return this.#admitted.answers;
  }

  /** Cuts the call off. */
  reset(): void {
    this.#admitted.reset();
  }

  /** Sends the only answer. */
  answer(bytes: Buffer): void {
    this.#admitted.answer(bytes);
  }

  /** A stream that ended because the daemon stops has not ended well. */
  failIfStopped(): void {
    if (this.#stopped !== undefined) throw this.#stopped;
  }

  /** Says that the call went well. */
  succeed({ path, around }: Route): void {
    around.journal({ path, call: this, status: undefined, durationMs: this.#durationMs() });
  }

  /** Says that the call failed; answers what to tell the client. */
  fail({ path, around }: Route, error: unknown): RpcStatus {
    const status = statusOf(this.#causeOf(error));
    around.journal({ path, call: this, status, durationMs: this.#durationMs() });
    return status;
  }

  #durationMs(): number {
    return performance.now() - this.#startedMs;
  }

  /** What a handler meets after its client has gone, or while the daemon stops, is due to that. */
  #causeOf(error: unknown): unknown {
    if (error instanceof StalledReader) return error;
    if (this.isOver) return canceled;
    if (error instanceof JobletError) return error;
    return this.#stopped ?? error;
  }
}

function whole({ message }: Read): AnyMessage {
  if (message instanceof JobletError) throw message;
  return message;
}

function readerOf(method: DescMethod): (bytes: Buffer) => Read {
  const isStream = method.methodKind === 'client_streaming';
  return (buffer) => {
    const bytes = buffer.length;
    if (isStream && bytes > STREAM_MESSAGE_BYTES) {
      const text = `a message of this stream holds at most ${STREAM_MESSAGE_BYTES} bytes; send smaller parts`;
      return { message: new JobletError('exhausted', text), bytes };
    }
    return { message: parse(method, buffer), bytes };
  };
}

function parse({ input }: DescMethod, bytes: Buffer): AnyMessage | JobletError {
  if (hasTooManyFields(input, bytes)) {
    const text = `the request has more than ${MAX_FIELDS} fields; send files by UploadFiles`;
    return new JobletError('exhausted', text);
  }
  try {
    return fromBinary(input, bytes, readOptions);
  } catch (cause) {
    return new JobletError('invalid', `the request is no ${input.typeName}`, { cause });
  }
}

function bytesOf(
  { output }: DescMethod,
  answer: MessageInitShape<typeof output> | Encoded,
): Buffer {
  if (answer instanceof Encoded) return answer.bytes;
  const bytes = toBinary(output, create(output, answer));
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function passOn(bytes: unknown): Buffer {
  return bytes as Buffer;
}

function later(method: DescMethod): AnyHandler {
  const error = () =>
    new JobletError('unsupported', `${method.name} arrives with a later version of Joblet`);
  if (method.methodKind !== 'server_streaming') return () => Promise.reject(error());
  // biome-ignore lint/correctness/useYield: it has nothing to give but its failure
  return async function* () {
    throw error();
  };
}
