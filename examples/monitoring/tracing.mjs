// Sends the daemon's spans to an OpenTelemetry collector, at OTEL_EXPORTER_OTLP_ENDPOINT or on this host.
// The daemon has those sent that are left when it stops.

import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': 'joblet' }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
}).register();
