// Tells a webhook: one POST of JSON, to where the configuration says and nowhere else.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';

export interface Webhook {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** A file with certificates that are trusted beside the known ones; empty is none. */
  readonly caFile: string;
  readonly body: string;
  readonly timeoutMs: number;
}

/** Resolves when it was taken (2xx). Redirections are not followed: they would lead elsewhere. */
export async function post(webhook: Webhook, signal: AbortSignal): Promise<void> {
  const { url, headers, caFile, body, timeoutMs } = webhook;
  const limit = AbortSignal.timeout(timeoutMs);
  const request = url.startsWith('https:') ? requestHttps : requestHttp;
  const call = request(url, {
    method: 'POST',
    headers: { 'user-agent': 'joblet', 'content-type': 'application/json', ...headers },
    signal: AbortSignal.any([signal, limit]),
    // What is told now and then keeps no connection open.
    agent: false,
    ...(caFile !== '' && { ca: readFileSync(caFile) }),
  });
  call.end(body);
  try {
    const [answer] = (await once(call, 'response')) as [IncomingMessage];
    const { statusCode = 0 } = answer;
    answer.destroy();
    if (statusCode >= 200 && statusCode < 300) return;
    throw new Error(`the webhook answered ${statusCode}`);
  } catch (error) {
    if (limit.aborted) throw new Error(`the webhook did not answer within ${timeoutMs} ms`);
    throw error;
  }
}
