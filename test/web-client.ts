// Requests to a daemon's web port, with a certificate or without, by HTTP/1.1 or HTTP/2.

import { once } from 'node:events';
import { connect, type IncomingHttpHeaders } from 'node:http2';
import { type RequestOptions, request } from 'node:https';
import type { Role } from '../src/daemon/jobs/job.ts';
import type { Daemon } from './harness.ts';

export interface WebAnswer {
  readonly code: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** How to reach the web port as a role; without a role there is no certificate. */
export function reach(daemon: Daemon, role: Role | undefined): RequestOptions {
  const { cert, key } = daemon.node(role ?? 'viewer');
  return {
    host: '127.0.0.1',
    port: daemon.webPort,
    servername: 'localhost',
    ca: daemon.authority.cert,
    ...(role && { cert, key }),
  };
}

/** One request by HTTP/1.1, and its whole answer. */
export async function get(
  daemon: Daemon,
  role: Role | undefined,
  path: string,
  more: RequestOptions = {},
): Promise<WebAnswer> {
  const asked = request({ ...reach(daemon, role), agent: false, path, ...more });
  asked.end();
  const [answer] = await once(asked, 'response');
  answer.setEncoding('utf8');
  let body = '';
  for await (const piece of answer) body += piece;
  return { code: answer.statusCode, headers: answer.headers, body };
}

/** The same by HTTP/2. */
export async function get2(
  daemon: Daemon,
  role: Role | undefined,
  path: string,
): Promise<WebAnswer> {
  const { host: _, ...tls } = reach(daemon, role);
  const session = connect(`https://127.0.0.1:${daemon.webPort}`, tls as object);
  try {
    const stream = session.request({ ':path': path });
    stream.setEncoding('utf8');
    const [headers] = await once(stream, 'response');
    let body = '';
    for await (const piece of stream) body += piece;
    return { code: headers[':status'], headers, body };
  } finally {
    session.close();
  }
}
