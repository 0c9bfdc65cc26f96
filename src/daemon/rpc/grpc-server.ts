// One gRPC server: its services, its connections, and how it stops.

import type { DescService } from '@bufbuild/protobuf';
import { Server } from '@grpc/grpc-js';
import { Health as HealthService } from '../../gen/grpc/health/v1/health_pb.ts';
import { JobletError, STOPPING } from '../../shared/errors.ts';
import type { Credentials } from '../credentials.ts';
import { type Clock, systemClock } from '../jobs/due.ts';
import type { Tracing } from '../telemetry/tracing.ts';
import { type ConnectionLimits, Connections, type OnRefused } from './connections.ts';
import { type Around, type Handlers, type StallLimits, serve } from './handlers.ts';
import { Health } from './health.ts';
import { addReflection } from './reflection.ts';

export interface GrpcLimits extends ConnectionLimits, StallLimits {
  readonly maxSendBytes: number;
  /** Bytes of the headers of one call. */
  readonly maxHeaderBytes: number;
  /** Calls at once on one connection. */
  readonly maxConcurrentStreams: number;
  readonly keepAliveMs: number;
  readonly keepAliveTimeoutMs: number;
  /** A connection without calls is closed after this, and any at this age; 0 is never. */
  readonly maxConnectionIdleMs: number;
  readonly maxConnectionAgeMs: number;
  readonly maxConnectionAgeGraceMs: number;
  /** How long calls may take to end when the server stops. */
  readonly stopMs: number;
}

/** Memory of one connection for headers and for answers that its client does not take. */
const SESSION_MEMORY_MB = 64;

export class GrpcServer {
  readonly #server: Server;
  readonly #connections: Connections;
  readonly #around: Around;
  readonly #health = new Health();
  readonly #services: DescService[] = [];
  readonly #stopMs: number;

  constructor(
    credentials: Credentials,
    limits: GrpcLimits,
    reports: Pick<Around, 'journal'> & {
      readonly onRefused: OnRefused;
      readonly tracing?: Tracing | undefined;
      readonly clock?: Clock;
    },
  ) {
    this.#server = new Server({
      'grpc.max_receive_message_length': limits.maxReceiveBytes,
      'grpc.max_send_message_length': limits.maxSendBytes,
      'grpc.keepalive_time_ms': limits.keepAliveMs,
      'grpc.keepalive_timeout_ms': limits.keepAliveTimeoutMs,
      ...unlessZero('grpc.max_connection_idle_ms', limits.maxConnectionIdleMs),
      ...unlessZero('grpc.max_connection_age_ms', limits.maxConnectionAgeMs),
      'grpc.max_connection_age_grace_ms': limits.maxConnectionAgeGraceMs,
      'grpc-node.max_session_memory': SESSION_MEMORY_MB,
      // Book-keeping for each call and connection that nothing of ours reads.
      'grpc.enable_channelz': 0,
    });
    // grpc-js has an option for one of these only.
    this.#server['commonServerOptions'].settings = {
      maxConcurrentStreams: limits.maxConcurrentStreams,
      maxHeaderListSize: limits.maxHeaderBytes,
    };
    this.#connections = new Connections(this.#server, credentials, limits, reports.onRefused);
    const { journal, tracing, clock = systemClock } = reports;
    this.#around = { journal, stalls: limits, clock, tracing };
    this.#stopMs = limits.stopMs;
  }

  /** Adds a service; methods without a handler answer that they come later. */
  add<S extends DescService>(service: S, handlers: Handlers<S>): void {
    serve(this.#server, service, handlers, this.#around);
    this.#services.push(service);
  }

  /** Answers calls from now on. Port 0 takes any; resolves with the port. */
  async listen(address: string, port: number): Promise<number> {
    this.add(HealthService, this.#health.handlers([...this.#services]));
    addReflection(this.#server, this.#services);
    return this.#connections.listen(address, port);
  }

  get connectionCount(): number {
    return this.#connections.count;
  }

  /** From now on these certificates count. */
  update(credentials: Credentials): void {
    this.#connections.update(credentials);
  }

  /**
   * Stops: nothing new is accepted, those who follow are told to come back, short calls are let end.
   * What has not ended then is cut off.
   */
  async stop(): Promise<void> {
    const reason = new JobletError('unavailable', STOPPING);
    this.#health.stop();
    this.#connections.stop(reason);
    await this.#connections.drain(this.#stopMs);
    this.#connections.destroy();
    this.#server.forceShutdown();
  }
}

function unlessZero(option: string, value: number): Record<string, number> {
  return value === 0 ? {} : { [option]: value };
}
