// Requests to one bucket of an S3 store, each signed, and answers that are bounded in size and time:
// the store is another's program, and may be anything.

import { createHash } from 'node:crypto';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import tls from 'node:tls';
import { JobletError, messageOf } from '../../shared/errors.ts';
import { parseRefusal } from './s3-answers.ts';
import { type Credentials, EMPTY_SHA256, encodePath, encodeQuery, sign } from './signature.ts';

export interface Bucket {
  /** `http:` or `https:`, with nothing behind the host. */
  readonly endpoint: URL;
  readonly bucket: string;
  readonly region: string;
  /** A certificate authority beside those that are known, PEM; empty is none. */
  readonly ca: string;
  readonly credentials: () => Promise<Credentials>;
}

export interface Request {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Empty is the bucket itself. */
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Body;
  readonly signal: AbortSignal;
}

export interface Body {
  readonly bytes: number;
  /** It is signed: what arrives otherwise is refused. */
  readonly sha256: string;
  /** Each piece is needed until the next one is asked for. */
  readonly pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** An answer without its body, which comes as a stream. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: IncomingMessage;
}

/** A store that says nothing for so long is not there. */
const SILENCE_MS = 30_000;
/** Nor one that takes so long for a part of 8 MiB, however busy it looks. */
const REQUEST_MS = 10 * 60_000;
const MAX_ANSWER_BYTES = 4 << 20;
/** Of a refusal only a line is shown. */
const MAX_REFUSAL_BYTES = 64 * 1024;
/** Uploads need four; the others are for readers. */
const MAX_SOCKETS = 16;
/** Where it says so, it says nothing of objects. */
const NO_BUCKET = 'NoSuchBucket';

export class S3Connection {
  readonly #bucket: Bucket;
  readonly #agent: http.Agent | https.Agent;
  /** Where it is, for people. */
  readonly place: string;
  readonly #requestMs: number;

  constructor(bucket: Bucket, requestMs = REQUEST_MS) {
    this.#bucket = bucket;
    this.#requestMs = requestMs;
    this.place = `${bucket.endpoint.origin}/${bucket.bucket}`;
    const options = { keepAlive: true, maxSockets: MAX_SOCKETS, timeout: SILENCE_MS };
    this.#agent =
      bucket.endpoint.protocol === 'http:'
        ? new http.Agent(options)
        : new https.Agent({
            ...options,
            ...(bucket.ca !== '' && { ca: [...tls.rootCertificates, bucket.ca] }),
          });
  }

  /** The text of an answer that is no object. */
  async text(request: Request): Promise<string> {
    const { body } = await this.send(request);
    return this.#named(request, () => readText(body, MAX_ANSWER_BYTES));
  }

  /** An answer whose body nobody wants; undefined where there is no such object. */
  async find(request: Request): Promise<Answer['headers'] | undefined> {
    const answer = await this.#answer(request);
    if (answer.status === 404) {
      answer.body.resume();
      return undefined;
    }
    await this.#require(request, answer);
    await this.#named(request, () => readText(answer.body, MAX_ANSWER_BYTES));
    return answer.headers;
  }

  /** An answer that says yes. @throws JobletError not-found, unavailable */
  async send(request: Request): Promise<Answer> {
    const answer = await this.#answer(request);
    await this.#require(request, answer);
    return answer;
  }

  /** Names what goes wrong while an answer is read. */
  async #named<T>(request: Request, body: () => Promise<T>): Promise<T> {
    try {
      return await body();
    } catch (error) {
      throw this.#broken(request, error);
    }
  }

  async #require(request: Request, { status, body }: Answer): Promise<void> {
    if (status >= 200 && status < 300) return;
    const said = await readText(body, MAX_REFUSAL_BYTES).catch(() => '');
    const { code, message } = parseRefusal(said);
    const words = [status, code, message && `(${message})`].filter(Boolean).join(' ');
    throw new JobletError(
      status === 404 && code !== NO_BUCKET ? 'not-found' : 'unavailable',
      `${this.place} answers ${words} to ${request.method} ${request.key || 'a question about the bucket'}`,
    );
  }

  async #answer(request: Request): Promise<Answer> {
    try {
      return await this.#exchange(request, await this.#bucket.credentials());
    } catch (error) {
      throw this.#broken(request, error);
    }
  }

  #exchange(request: Request, credentials: Credentials): Promise<Answer> {
    const { endpoint, bucket, region } = this.#bucket;
    const { method, key, query = {}, headers = {}, body, signal } = request;
    const path = encodePath(key === '' ? `/${bucket}/` : `/${bucket}/${key}`);
    const bodySha256 = body?.sha256 ?? EMPTY_SHA256;
    const signed = sign(
      { method, host: endpoint.host, path, query, headers, bodySha256 },
      credentials,
      region,
      Date.now(),
    );
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const search = encodeQuery(query);
    const sent = (endpoint.protocol === 'http:' ? http : https).request(
      endpoint,
      {
        agent: this.#agent,
        method,
        path: search === '' ? path : `${path}?${search}`,
        headers: { ...signed, 'content-length': body?.bytes ?? 0 },
        timeout: SILENCE_MS,
        signal: AbortSignal.any([signal, AbortSignal.timeout(this.#requestMs)]),
      },
      (answer) =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: answer }),
    );
    sent.on('timeout', () => sent.destroy(new Error(`it said nothing for ${SILENCE_MS / 1000} s`)));
    sent.on('error', reject);
    send(sent, body?.pieces ?? []).catch((error: Error) => sent.destroy(error));
    return promise;
  }

  #broken({ method, key }: Request, error: unknown): JobletError {
    if (error instanceof JobletError) return error;
    const { code } = error as NodeJS.ErrnoException;
    const why = messageOf(error) || code || 'no reason given';
    const message = `${this.place} cannot be used (${method} ${key || 'the bucket'}): ${why}`;
    return new JobletError('unavailable', message, { cause: error });
  }
}

/** The body of a text that is at hand. */
export function bodyOf(text: string): Body {
  const piece = Buffer.from(text);
  const sha256 = createHash('sha256').update(piece).digest('hex');
  return { bytes: piece.length, sha256, pieces: [piece] };
}

/** No piece is asked for before the one before it has left: it may have the same place in memory. */
async function send(sent: http.ClientRequest, pieces: Body['pieces']): Promise<void> {
  for await (const piece of pieces) {
    await new Promise<void>((resolve, reject) => {
      sent.write(piece, (error) => (error ? reject(error) : resolve()));
    });
  }
  sent.end();
}

async function readText(body: IncomingMessage, maxBytes: number): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of body as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > maxBytes) throw new Error(`it answers more than ${maxBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
