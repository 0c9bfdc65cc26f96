// The web port of a node, with all that it answers.

import type { Config } from '../config.ts';
import type { CallJournal } from '../rpc/call-journal.ts';
import type { Rpc } from '../rpc/server.ts';
import { formatFor, formatMetrics, formats } from '../telemetry/exposition.ts';
import { type EventParts, eventRoute } from './event-route.ts';
import { type LogParts, logRoute } from './log-route.ts';
import { collectMetrics, type MetricsParts } from './metrics.ts';
import type { Route } from './routes.ts';
import { type WebLimits, WebPort } from './web-port.ts';

export interface WebParts {
  readonly config: Config;
  readonly journal: CallJournal;
  readonly rpc: Pick<Rpc, 'credentials' | 'connectionCount'>;
  readonly log: LogParts;
  readonly events: EventParts;
  readonly metrics: Omit<MetricsParts, 'credentials' | 'connectionCount' | 'directories'>;
}

export interface Web {
  readonly port: number;
  stop(): Promise<void>;
}

/** Connections at once; one holds about 30 kB. */
const MAX_CONNECTIONS = 1000;
/** Or fewer, where the API gives one fewer. */
const MAX_CONNECTIONS_OF_CLIENT = 256;
const MAX_HANDSHAKES_OF_ADDRESS = 256;
/** Answers on their way to one client. */
const CLIENT_ANSWER_BYTES = 64 * 1024 * 1024;

/** Paths that are counted beside the methods of the API. */
const paths: ReadonlySet<string> = new Set(['/metrics', '/v1/jobs/ID/log', '/v1/events']);

/** Whether it is the path of a route, as that is written. */
export function isWebPath(path: string): boolean {
  return paths.has(path);
}

/** Answers requests from now on. */
export async function openWeb(parts: WebParts): Promise<Web> {
  const { config, journal, rpc } = parts;
  const { credentials } = rpc;
  const { state, logs, uploads, volumes, runtimes } = config;
  const metrics: MetricsParts = {
    ...parts.metrics,
    credentials: () => credentials.current,
    connectionCount: () => rpc.connectionCount,
    directories: {
      state: state.path,
      logs: logs.directory,
      jobs: uploads.directory,
      volumes: volumes.directory,
      runtimes: runtimes.directory,
    },
  };
  const routes = [metricsRoute(metrics), logRoute(parts.log), eventRoute(parts.events)];
  const web = new WebPort(credentials.current, limitsOf(config), routes, journal);
  credentials.onChange((fresh) => web.update(fresh));
  const port = await web.listen(config.web.address, config.web.port);
  return { port, stop: () => web.stop() };
}

function metricsRoute(parts: MetricsParts): Route {
  return {
    path: '/metrics',
    method: '/joblet.MonitoringService/GetSystemStatus',
    async answer(request) {
      const format = formatFor(request.header('accept'));
      request.answer(200, formats[format], formatMetrics(await collectMetrics(parts), format));
    },
  };
}

function limitsOf({ grpc, web, joblet }: Config): WebLimits {
  return {
    maxConnections: MAX_CONNECTIONS,
    maxHandshakes: Math.min(grpc.maxHandshakesPerAddress, MAX_HANDSHAKES_OF_ADDRESS),
    handshakeMs: grpc.connectionTimeoutMs,
    maxHeaderBytes: grpc.maxHeaderBytes,
    maxConcurrentStreams: web.maxRequestsPerClient,
    client: {
      maxConnections: Math.min(grpc.maxConnectionsPerClient, MAX_CONNECTIONS_OF_CLIENT),
      maxCalls: web.maxRequestsPerClient,
      maxBodyBytes: 0,
      maxAnswerBytes: CLIENT_ANSWER_BYTES,
    },
    stopMs: joblet.cleanupTimeoutMs,
  };
}
