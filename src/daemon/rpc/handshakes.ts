// Connections that have not proved yet who they are. All that is known of one is where it comes from,
// so that is what limits them. Beyond the limit the one that has been at it for longest is cut off, not
// the newest: whoever floods loses his own, and those who come to call still get through.

import { isIPv6, type Socket } from 'node:net';

export class Handshakes {
  readonly #limit: number;
  /** By source, then by port: first the one that came first. */
  readonly #sources = new Map<string, Map<number, Socket>>();

  /** `limit` is how many there may be at once from one source. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Counts a new connection until `end`, or until it is closed. */
  begin(socket: Socket): void {
    const { remotePort } = socket;
    // It is gone already.
    if (remotePort === undefined) return;
    const source = sourceOf(socket);
    const begun = this.#sources.get(source) ?? new Map<number, Socket>();
    this.#sources.set(source, begun);
    for (const [port, oldest] of begun) {
      if (begun.size < this.#limit) break;
      begun.delete(port);
      oldest.destroy();
    }
    begun.set(remotePort, socket);
    socket.once('close', () => this.#forget(source, remotePort, socket));
  }

  /** The handshake on this connection is over. */
  end({ remoteAddress = '', remotePort = 0 }: Pick<Socket, 'remoteAddress' | 'remotePort'>): void {
    const source = sourceOf({ remoteAddress });
    const socket = this.#sources.get(source)?.get(remotePort);
    if (socket !== undefined) this.#forget(source, remotePort, socket);
  }

  #forget(source: string, port: number, socket: Socket): void {
    const begun = this.#sources.get(source);
    // Another connection may have come from the same port since.
    if (begun?.get(port) !== socket) return;
    begun.delete(port);
    if (begun.size === 0) this.#sources.delete(source);
  }
}

/** Half of an IPv6 address names a network, and whoever has one has all of its addresses. */
const NETWORK_PARTS = 4;

/** An address; of IPv6 the network. */
function sourceOf({ remoteAddress = '' }: Pick<Socket, 'remoteAddress'>): string {
  if (!isIPv6(remoteAddress) || remoteAddress.includes('.')) return remoteAddress;
  const [left = '', right] = remoteAddress.split('::');
  const parts = left.split(':').filter((part) => part !== '');
  if (right !== undefined) {
    const behind = right.split(':').filter((part) => part !== '');
    while (parts.length + behind.length < 2 * NETWORK_PARTS) parts.push('0');
    parts.push(...behind);
  }
  return parts.slice(0, NETWORK_PARTS).join(':');
}
