// Calls as spans, below that of the client where it says which (`traceparent`).

import type { Context, Span, TextMapGetter } from '@opentelemetry/api';
import { JobletError } from '../../shared/errors.ts';
import { TRACER, type Tracing } from '../telemetry/tracing.ts';
import { CanceledCall, codeNameOf } from './errors.ts';
import type { AnyHandler, Call } from './handlers.ts';

/** What a call says of where it comes from. */
const fromHeaders: TextMapGetter<Call> = {
  keys: () => ['traceparent', 'tracestate', 'baggage'],
  get: (call, name) => call.header(name) || undefined,
};

/** The same handler, each call of which is a span. */
export function traced(
  tracing: Tracing,
  path: string,
  isStream: boolean,
  handler: AnyHandler,
): AnyHandler {
  const { context, propagation, trace, ROOT_CONTEXT, SpanKind, SpanStatusCode } = tracing;
  const tracer = trace.getTracer(TRACER);
  const [service, method] = path.slice(1).split('/');
  const attributes = { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': method };

  const begin = (call: Call): { readonly span: Span; readonly within: Context } => {
    const from = propagation.extract(ROOT_CONTEXT, call, fromHeaders);
    const span = tracer.startSpan(path.slice(1), { kind: SpanKind.SERVER, attributes }, from);
    return { span, within: trace.setSpan(from, span) };
  };
  const end = (span: Span, error?: unknown) => {
    const kind = error === undefined ? 'ok' : kindOf(error);
    span.setAttribute('rpc.response.status_code', codeNameOf(kind));
    if (kind === 'internal') span.setStatus({ code: SpanStatusCode.ERROR });
    span.end();
  };

  if (isStream) {
    return async function* (request, call) {
      const { span, within } = begin(call);
      try {
        yield* context.with(within, () => handler(request, call));
        end(span);
      } catch (error) {
        end(span, error);
        throw error;
      } finally {
        // Nobody may have read to the end; what has ended does not end again.
        if (span.isRecording()) end(span, new CanceledCall());
      }
    };
  }
  return async (request, call) => {
    const { span, within } = begin(call);
    try {
      const answer = await context.with(within, () => handler(request, call));
      end(span);
      return answer;
    } catch (error) {
      end(span, error);
      throw error;
    }
  };
}

function kindOf(error: unknown) {
  if (error instanceof JobletError) return error.kind;
  return error instanceof CanceledCall ? 'canceled' : 'internal';
}
