// Sends the daemon's spans to an OpenTelemetry collector, at OTEL_EXPORTER_OTLP_ENDPOINT or on this host.

import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': 'joblet' }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
provider.register();

// A daemon that stops has spans that are not sent yet.
process.once('beforeExit', () => provider.shutdown());
