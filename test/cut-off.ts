// A wire between a client and a server on loopback, to count what goes over it and to cut it.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class Wire {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #sentBytes = 0;
  #due: { readonly bytes: number; readonly reached: () => void } | undefined;
  #isCut = false;
  #left = () => {};

  /** To a port of this host, which may change from one connection to the next. */
  constructor(port: () => number) {
    this.#server = createServer((client) => {
      if (this.#isCut) {
        client.destroy();
        return;
      }
      const server = connect(port(), '127.0.0.1');
      for (const [socket, other] of [
        [client, server],
        [server, client],
      ] as const) {
        this.#sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          this.#sockets.delete(socket);
          if (this.#sockets.size === 0) this.#left();
          // Whatever it says is for nobody; it has to be taken for its end to be seen.
          other.resume().end();
        });
      }
      client.on('data', (part) => this.#count(part.length));
      client.pipe(server).pipe(client);
    });
  }

  async open(): Promise<URL> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return new URL(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`);
  }

  /** What clients have sent so far. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Resolves when clients have sent so much from now on. */
  sent(bytes: number): Promise<void> {
    return new Promise((reached) => {
      this.#due = { bytes: this.#sentBytes + bytes, reached };
    });
  }

  /** Resolves when nobody is connected any more, and everybody knows. */
  left(): Promise<void> {
    return new Promise((resolve) => {
      this.#left = resolve;
      if (this.#sockets.size === 0) resolve();
    });
  }

  /** From now on nobody gets through. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #count(bytes: number): void {
    this.#sentBytes += bytes;
    if (this.#due === undefined || this.#sentBytes < this.#due.bytes) return;
    this.#due.reached();
    this.#due = undefined;
  }
}
