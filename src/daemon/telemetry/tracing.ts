// OpenTelemetry, where somebody has loaded an SDK of it into this process. Else nothing of it is loaded,
// no span is made, and none of our code is another for it.

/** What there is of OpenTelemetry without an SDK: names that an SDK gives their meaning. */
export type Tracing = typeof import('@opentelemetry/api');

/** Under this name an SDK of any version 1.x makes itself known to the whole process. */
const REGISTERED = Symbol.for('opentelemetry.js.api.1');

/** Who traces, or undefined when nobody does. */
export async function findTracing(): Promise<Tracing | undefined> {
  return REGISTERED in globalThis ? import('@opentelemetry/api') : undefined;
}

/** Who makes our spans. */
export const TRACER = 'joblet';
