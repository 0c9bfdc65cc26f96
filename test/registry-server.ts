// A registry on loopback: a folder, served by HTTPS with a certificate of its own authority, by a server
// that can be told to misbehave.

import { createReadStream, existsSync, statSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { issue, makeAuthority } from '../src/daemon/certs.ts';

export interface Asked {
  readonly url: string;
  readonly range: string;
}

/** Bytes after which the connection is cut, for each request of a pack; none is the whole. */
export interface Manners {
  readonly cuts: readonly number[];
  readonly resumes: boolean;
}

export class RegistryServer {
  /** PEM. */
  readonly authority: string;
  readonly asked: Asked[] = [];
  readonly #server: Server;

  constructor(server: Server, authority: string) {
    this.#server = server;
    this.authority = authority;
  }

  get address(): string {
    return `https://localhost:${(this.#server.address() as AddressInfo).port}/`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export async function serveRegistry(
  folder: string,
  { cuts, resumes }: Manners = { cuts: [], resumes: true },
): Promise<RegistryServer> {
  const now = Date.now();
  const authority = await makeAuthority(now);
  const pair = await issue(authority, { kind: 'server', names: ['localhost'] }, now);
  const left = [...cuts];
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const url = request.url ?? '';
    registry.asked.push({ url, range: request.headers.range ?? '' });
    const file = path.join(folder, decodeURIComponent(url));
    if (!existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    const { size } = statSync(file);
    const [, from] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? [];
    const start = resumes && from !== undefined ? Number(from) : 0;
    const range = start > 0 ? { 'content-range': `bytes ${start}-${size - 1}/${size}` } : {};
    const headers = { etag: `"${size}"`, 'content-length': size - start, ...range };
    response.writeHead(start > 0 ? 206 : 200, headers);
    const cut = url.includes('.tar') || url.includes('.zip') ? left.shift() : undefined;
    const end = cut === undefined ? size : Math.min(size, start + cut);
    if (end <= start) {
      response.flushHeaders();
      response.destroy();
      return;
    }
    const source = createReadStream(file, { start, end: end - 1 });
    source.pipe(response, { end: cut === undefined });
    if (cut !== undefined) source.once('end', () => response.socket?.end(() => response.destroy()));
  };
  const server = createServer({ cert: pair.cert, key: pair.key }, answer);
  const registry = new RegistryServer(server, authority.cert);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return registry;
}
