// What one client has of the daemon: connections, calls under way, bytes of requests. A client is its
// certificate. Each has limits of its own, so that what one takes too much of, it takes from itself.

import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { JobletError } from '../../shared/errors.ts';
import type { Admission } from './admission.ts';
import { BodyBudget } from './body-budget.ts';

export interface ClientLimits {
  readonly maxConnections: number;
  /** Calls under way, over all its connections. */
  readonly maxCalls: number;
  /** Bytes of its requests that are held at once. */
  readonly maxBodyBytes: number;
  /** Bytes of streams of answers that are on their way to it. */
  readonly maxAnswerBytes: number;
}

/** A call that is under way, by whichever port it came. */
export interface CallUnderWay {
  readonly admission: Admission;
  /** Ends it, with the reason. */
  stop(reason: JobletError): void;
}

/** What a call came by: an HTTP/2 session, or a connection itself. */
export interface Carrier {
  readonly socket: Pick<Socket, 'remoteAddress' | 'remotePort'>;
}

interface Connection {
  readonly socket: TLSSocket;
  readonly address: string;
  /** Under way on it. */
  calls: number;
}

export class Client {
  readonly budget: BodyBudget;
  readonly answers: BodyBudget;
  /** Its calls that are under way. */
  readonly calls = new Set<CallUnderWay>();
  readonly #limits: ClientLimits;
  readonly #connections = new Map<string, Connection>();
  readonly #byCarrier = new WeakMap<Carrier, Connection>();
  /** Connections without a call, first the one that has been so for longest. */
  readonly #quiet = new Set<Connection>();

  /** `whole` is the budget of all clients. */
  constructor(limits: ClientLimits, whole: BodyBudget) {
    this.budget = new BodyBudget(limits.maxBodyBytes, whole);
    this.answers = new BodyBudget(limits.maxAnswerBytes);
    this.#limits = limits;
  }

  get isConnected(): boolean {
    return this.#connections.size > 0;
  }

  get hasCallsEnough(): boolean {
    return this.calls.size >= this.#limits.maxCalls;
  }

  /**
   * Makes room for one more connection, if need be at the cost of the one that has been quiet for
   * longest: who opens connections and does nothing with them loses those, and still gets through.
   * False when there are calls on all of them.
   */
  makeRoom(): boolean {
    if (this.#connections.size < this.#limits.maxConnections) return true;
    const [quiet] = this.#quiet;
    if (quiet === undefined) return false;
    this.#forget(quiet);
    quiet.socket.destroy();
    return true;
  }

  /** Counts a connection for as long as it is open. */
  connect(socket: TLSSocket): void {
    const connection = { socket, address: addressOf(socket), calls: 0 };
    this.#connections.set(connection.address, connection);
    this.#quiet.add(connection);
    socket.once('close', () => this.#forget(connection));
  }

  /** A call has come in. */
  begin(call: CallUnderWay, carrier: Carrier | undefined): void {
    this.calls.add(call);
    const connection = this.#connectionOf(carrier);
    if (connection === undefined) return;
    connection.calls += 1;
    this.#quiet.delete(connection);
  }

  end(call: CallUnderWay, carrier: Carrier | undefined): void {
    if (!this.calls.delete(call)) return;
    const connection = this.#connectionOf(carrier);
    if (connection === undefined) return;
    connection.calls -= 1;
    if (connection.calls === 0 && !connection.socket.destroyed) this.#quiet.add(connection);
  }

  #forget(connection: Connection): void {
    this.#quiet.delete(connection);
    // Another connection may have come from the same address since.
    const { address } = connection;
    if (this.#connections.get(address) === connection) this.#connections.delete(address);
  }

  #connectionOf(carrier: Carrier | undefined): Connection | undefined {
    if (carrier === undefined) return undefined;
    const known = this.#byCarrier.get(carrier);
    if (known !== undefined) return known;
    const connection = this.#connections.get(addressOf(carrier.socket));
    if (connection !== undefined) this.#byCarrier.set(carrier, connection);
    return connection;
  }
}

/** Tells connections apart, while they are open. */
export function addressOf({ remoteAddress, remotePort }: Carrier['socket']): string {
  return `${remoteAddress} ${remotePort}`;
}
