// The standard gRPC health service: for load balancers and probes.

import type { DescService } from '@bufbuild/protobuf';
import {
  type Health as HealthService,
  HealthCheckResponse_ServingStatus as Status,
} from '../../gen/grpc/health/v1/health_pb.ts';
import { JobletError } from '../../shared/errors.ts';
import type { Handlers } from './handlers.ts';

export class Health {
  readonly #stopping = new AbortController();

  /** Says of each service, and of the server as a whole (the empty name), that it serves. */
  handlers(services: readonly DescService[]): Handlers<typeof HealthService> {
    const names = ['', ...services.map((service) => service.typeName)];
    const stopping = this.#stopping.signal;
    const status = () => (stopping.aborted ? Status.NOT_SERVING : Status.SERVING);
    const statusOf = (service: string) =>
      names.includes(service) ? status() : Status.SERVICE_UNKNOWN;
    return {
      check: async ({ service }) => {
        if (names.includes(service)) return { status: status() };
        const shown = JSON.stringify(service.slice(0, 64));
        throw new JobletError('not-found', `there is no service ${shown}`, { about: 'service' });
      },

      list: async () => ({
        statuses: Object.fromEntries(names.map((name) => [name, { status: status() }])),
      }),

      async *watch({ service }, { signal }) {
        yield { status: statusOf(service) };
        await aborted(AbortSignal.any([stopping, signal]));
        yield { status: statusOf(service) };
        await aborted(signal);
      },
    };
  }

  /** Tells those who watch that it serves no more. */
  stop(): void {
    this.#stopping.abort();
  }
}

/** Resolves when the signal is given, or was. */
function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  else signal.addEventListener('abort', () => resolve(), { once: true });
  return promise;
}
