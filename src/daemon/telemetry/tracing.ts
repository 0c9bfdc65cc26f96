// OpenTelemetry, where somebody has loaded an SDK of it into this process. Else nothing of it is loaded,
// no span is made, and none of our code is another for it.

import { inspect } from 'node:util';
import type { Log } from '../log.ts';

/** What there is of OpenTelemetry without an SDK: names that an SDK gives their meaning. */
export type Tracing = typeof import('@opentelemetry/api');

/** Under this name an SDK of any version 1.x makes itself known to the whole process. */
const REGISTERED = Symbol.for('opentelemetry.js.api.1');

/** Trouble of an SDK of one kind is said so often at most: spans are sent every few seconds. */
const SILENCE_MS = 3_600_000;
/** So many kinds of it within that time. */
const MOST_KINDS = 20;
const MOST_CHARS = 500;

/** So long a daemon that stops waits for its last spans to be taken. */
const LAST_SPANS_MS = 2000;

/** What an SDK has made known there. */
interface Registered {
  readonly trace?: { getDelegate?(): { shutdown?(): Promise<void> } };
  readonly diag?: unknown;
}

function findRegistered(): Registered | undefined {
  return (globalThis as { readonly [REGISTERED]?: Registered })[REGISTERED];
}

/** Who traces, or undefined when nobody does. What troubles it is said in the log. */
export async function findTracing(log: Pick<Log, 'warn'>): Promise<Tracing | undefined> {
  const registered = findRegistered();
  if (registered === undefined) return undefined;
  const tracing = await import('@opentelemetry/api');
  // An SDK says nothing unless somebody listens; the operator may have set up somebody else.
  if (registered.diag === undefined) tracing.diag.setLogger(toLog(log), tracing.DiagLogLevel.WARN);
  return tracing;
}

/**
 * Has the spans sent that are left, as far as somebody takes them within a moment. False when nobody
 * did: then a connection to a collector that does not answer may be open still.
 */
export async function endTracing(): Promise<boolean> {
  const provider = findRegistered()?.trace?.getDelegate?.();
  if (provider?.shutdown === undefined) return true;
  // Also one that throws instead of failing later is no reason for a stop that fails.
  const shutDown = async () => provider.shutdown?.();
  const late = Promise.withResolvers<false>();
  const limit = setTimeout(() => late.resolve(false), LAST_SPANS_MS);
  const sent = shutDown().then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([sent, late.promise]);
  } finally {
    clearTimeout(limit);
  }
}

function toLog(log: Pick<Log, 'warn'>) {
  /** When each kind was said the last time. */
  const saidAtMs = new Map<string, number>();
  const say = (text: string, ...more: readonly unknown[]) => {
    const nowMs = performance.now();
    for (const [kind, atMs] of saidAtMs) if (nowMs - atMs >= SILENCE_MS) saidAtMs.delete(kind);
    const why = [reasonIn(text), ...more.map(textOf)].join(' ').slice(0, MOST_CHARS);
    // Numbers make no kind: they count, or they are a port.
    const kind = why.replaceAll(/\d+/g, '0');
    if (saidAtMs.has(kind) || saidAtMs.size >= MOST_KINDS) return;
    saidAtMs.set(kind, nowMs);
    log.warn('spans are not sent as they should be', { why });
  };
  const ignore = () => {};
  return { error: say, warn: say, info: ignore, debug: ignore, verbose: ignore };
}

/** SDKs tell of an error as JSON of all that it has. */
function reasonIn(text: string): string {
  try {
    const { code, message } = JSON.parse(text) as { code?: unknown; message?: unknown };
    return String(message || code || text);
  } catch {
    return text;
  }
}

/** What an SDK says beside its text. */
function textOf(value: unknown): string {
  if (value instanceof Error) return value.message;
  return typeof value === 'string' ? reasonIn(value) : inspect(value, { breakLength: Infinity });
}

/** Who makes our spans. */
export const TRACER = 'joblet';
