// Ports of the host that lead into jobs. The rules lead packets past whatever listens there; a socket of
// ours stands in the place all the same, so that nobody else takes it meanwhile, and so that it is
// refused where somebody has it.

import { randomUUID } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { JobletError } from '../../shared/errors.ts';
import {
  familiesOf,
  formatHostEnd,
  isEvery,
  isSamePlace,
  type PublishedPort,
} from '../../shared/publish.ts';

interface Held {
  readonly ports: readonly PublishedPort[];
  /** Each closes a socket. */
  readonly closes: (() => void)[];
}

export class HeldPorts {
  readonly #held = new Map<string, Held>();

  /**
   * Takes all ports or none, for a job.
   * @throws JobletError `exists` where one is taken, `invalid` where the host has no such address
   */
  async hold(jobId: string, ports: readonly PublishedPort[]): Promise<void> {
    for (const [other, { ports: theirs }] of this.#held) {
      const taken = ports.find((port) => theirs.some((their) => isSamePlace(port, their)));
      if (taken !== undefined) throw unavailable(taken, `job ${other} has it`);
    }
    try {
      await this.retake(jobId, ports);
    } catch (error) {
      this.release(jobId);
      throw error;
    }
  }

  /**
   * Takes the ports of a job that an earlier daemon started. They lead into it, so nobody else gets them
   * also where somebody's socket stands in a place.
   * @throws JobletError as `hold` does, then without that socket
   */
  async retake(jobId: string, ports: readonly PublishedPort[]): Promise<void> {
    const held: Held = { ports, closes: [] };
    this.#held.set(jobId, held);
    for (const port of ports) {
      for (const host of hostsOf(port)) {
        const close = await bind(host, port);
        if (this.#held.get(jobId) !== held) {
          // Its job has ended meanwhile.
          close();
          return;
        }
        held.closes.push(close);
      }
    }
  }

  /** Whether all of them can be had now. @throws as `hold` does */
  async check(ports: readonly PublishedPort[]): Promise<void> {
    const nobody = randomUUID();
    await this.hold(nobody, ports);
    this.release(nobody);
  }

  /** Doing it twice does no harm. */
  release(jobId: string): void {
    const held = this.#held.get(jobId);
    this.#held.delete(jobId);
    for (const close of held?.closes ?? []) close();
  }

  stop(): void {
    for (const jobId of [...this.#held.keys()]) this.release(jobId);
  }
}

function hostsOf(port: PublishedPort): string[] {
  if (!isEvery(port)) return [port.address];
  return familiesOf(port).map((family) => (family === 4 ? '0.0.0.0' : '::'));
}

/** Resolves with what closes the socket. */
async function bind(host: string, port: PublishedPort): Promise<() => void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fail = (error: NodeJS.ErrnoException) => reject(whyNot(error, port));
  const is6 = host.includes(':');
  if (port.protocol === 'tcp') {
    // Whoever comes before the rules are there finds nobody.
    const server = createServer((connection) => connection.destroy()).unref();
    server.once('error', fail);
    server.listen({ port: port.hostPort, host, ipv6Only: is6, exclusive: true }, resolve);
    await promise;
    return () => server.close();
  }
  const socket = createSocket({ type: is6 ? 'udp6' : 'udp4', ipv6Only: is6 }).unref();
  socket.once('error', fail);
  socket.bind({ port: port.hostPort, address: host, exclusive: true }, resolve);
  await promise;
  socket.on('error', () => {});
  return () => socket.close();
}

function whyNot({ code = '' }: NodeJS.ErrnoException, port: PublishedPort): JobletError {
  if (code === 'EADDRINUSE') return unavailable(port, 'something on this host has it');
  const message = `${formatHostEnd(port)} cannot be had on this host (${code}); publish at one of its own addresses`;
  return new JobletError('invalid', message, { problems: [{ field: 'publish', message }] });
}

function unavailable(port: PublishedPort, who: string): JobletError {
  return new JobletError(
    'exists',
    `port ${formatHostEnd(port)} is taken: ${who}; publish at another one`,
    { about: 'publish' },
  );
}
