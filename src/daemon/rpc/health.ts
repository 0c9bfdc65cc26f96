// The standard gRPC health service: for load balancers and probes.

import type { DescService } from '@bufbuild/protobuf';
import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';

export class Health {
  readonly #health = new HealthImplementation({ '': 'SERVING' });
  #names: readonly string[] = [];

  /** Says of each service, and of the server as a whole (the empty name), that it serves. */
  addTo(server: Server, services: readonly DescService[]): void {
    this.#names = services.map((service) => service.typeName);
    for (const name of this.#names) this.#health.setStatus(name, 'SERVING');
    this.#health.addToServer(server);
  }

  /** Tells those who watch that it serves no more. */
  stop(): void {
    for (const name of ['', ...this.#names]) this.#health.setStatus(name, 'NOT_SERVING');
  }
}
