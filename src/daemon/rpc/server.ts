// The daemon's API as a whole: every service on one port.

import { availableParallelism, totalmem } from 'node:os';
import { AlertService } from '../../gen/joblet/alerts_pb.ts';
import { AuditService } from '../../gen/joblet/audit_pb.ts';
import { EventService } from '../../gen/joblet/events_pb.ts';
import { JobService } from '../../gen/joblet/jobs_pb.ts';
import { JobletService } from '../../gen/joblet/legacy_pb.ts';
import { MonitoringService } from '../../gen/joblet/monitoring_pb.ts';
import { NetworkService } from '../../gen/joblet/networks_pb.ts';
import { PersistService } from '../../gen/joblet/persist/persist_pb.ts';
import { RuntimeService } from '../../gen/joblet/runtimes_pb.ts';
import { ScheduleService } from '../../gen/joblet/schedules_pb.ts';
import { VolumeService } from '../../gen/joblet/volumes_pb.ts';
import type { Audit } from '../audit/audit.ts';
import type { Builds } from '../builder/builds.ts';
import type { Config } from '../config.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Uploads } from '../jobs/uploads.ts';
import type { Log } from '../log.ts';
import type { Networks } from '../networks/networks.ts';
import type { Catalogue } from '../runtimes/catalogue.ts';
import type { Installs } from '../runtimes/installs.ts';
import type { Runtimes } from '../runtimes/runtimes.ts';
import type { Trees } from '../runtimes/trees.ts';
import type { Uses } from '../runtimes/uses.ts';
import type { Tracing } from '../telemetry/tracing.ts';
import type { Volumes } from '../volumes/volumes.ts';
import type { Workflows } from '../workflows/workflows.ts';
import { type AlertParts, alertHandlers } from './alerts.ts';
import { auditHandlers } from './audit.ts';
import { buildHandlers } from './builds.ts';
import type { CallJournal } from './call-journal.ts';
import { eventHandlers } from './events.ts';
import { type GrpcLimits, GrpcServer } from './grpc-server.ts';
import { installHandlers } from './installs.ts';
import { jobFileHandlers } from './job-files.ts';
import type { JobPolicy, NetworkNames } from './job-spec.ts';
import { type JobParts, jobHandlers } from './jobs.ts';
import { legacyHandlers } from './legacy.ts';
import { LiveCredentials } from './live-credentials.ts';
import { type MonitoringParts, monitoringHandlers } from './monitoring.ts';
import { networkHandlers } from './networks.ts';
import { persistHandlers } from './persist.ts';
import { runtimeHandlers } from './runtimes.ts';
import { type ScheduleParts, scheduleHandlers } from './schedules.ts';
import { treeHandlers } from './trees.ts';
import { volumeHandlers } from './volumes.ts';
import { type WorkflowParts, workflowHandlers } from './workflows.ts';

export interface RpcParts extends Pick<JobParts, 'logs' | 'postures' | 'samples' | 'layoutKind'> {
  readonly uploads: Uploads;
  readonly alerts: AlertParts['alerts'];
  readonly catalogue: Catalogue;
  readonly trees: Trees;
  readonly installs: Installs;
  readonly uses: Uses;
  readonly runtimes: Runtimes;
  readonly workflows: WorkflowParts['workflows'] & Pick<Workflows, 'dependenciesOf' | 'find'>;
  readonly schedules: ScheduleParts['schedules'];
  readonly audit: Pick<Audit, 'record' | 'recordSoon' | 'query' | 'read' | 'batches' | 'verify'>;
  readonly jobs: JobParts['jobs'] & MonitoringParts['jobs'] & Pick<Jobs, 'nameOf'>;
  readonly networks: Networks;
  readonly volumes: Volumes;
  readonly files: Parameters<typeof jobFileHandlers>[0];
  readonly gpus: JobParts['gpus'] & MonitoringParts['gpus'];
  readonly monitoring: Omit<MonitoringParts, 'jobs' | 'gpus' | 'gpuStrategy'>;
  readonly builds: Pick<Builds, 'build' | 'specification'>;
  readonly disks: readonly string[];
  readonly journal: CallJournal;
  /** Undefined when nobody traces. */
  readonly tracing: Tracing | undefined;
  readonly config: Config;
  readonly log: Log;
}

export interface Rpc {
  /** Certificates and revocations, which may change while it answers. */
  readonly credentials: LiveCredentials;
  /** Answers calls from now on. Resolves with the port. */
  listen(): Promise<number>;
  /** Answers no more; see GrpcServer.stop. */
  stop(): Promise<void>;
  /** Connections of clients that stand. */
  readonly connectionCount: number;
}

/** Connections at once; one holds about 20 kB. */
const MAX_CONNECTIONS = 10_000;

/** Requests of the biggest size that are held at once: of all clients, and of one. */
const BIG_REQUESTS = 3;
const BIG_REQUESTS_OF_CLIENT = 2;

/** Output and other streams on their way to one client, whose readers may be many and slow. */
const CLIENT_ANSWER_BYTES = 64 * 1024 * 1024;

/** A reader that takes nothing for so long is cut off. */
const STALL_MS = 5 * 60_000;
/** And so long when its client has too much on the way in all its streams. */
const CROWDED_STALL_MS = 10_000;

/** Makes the API of a node. */
export function createRpc(parts: RpcParts): Rpc {
  const { journal, audit, config, log, tracing } = parts;
  const credentials = new LiveCredentials(config, audit, log);
  const server = new GrpcServer(credentials.current, limitsOf(config), {
    journal: (record) => journal.ended(record),
    onRefused: (refused) => journal.refused(refused),
    tracing,
  });
  credentials.onChange((fresh) => server.update(fresh));
  addServices(server, parts);
  return {
    credentials,
    listen: () => server.listen(config.server.address, config.server.port),
    stop: async () => {
      credentials.close();
      await server.stop();
    },
    get connectionCount() {
      return server.connectionCount;
    },
  };
}

/** Each service with the parts that it is about. */
function addServices(server: GrpcServer, all: RpcParts): void {
  const { jobs, uploads, networks, audit, volumes, workflows, schedules, config } = all;
  const names = () => ({
    networks: networks.names(),
    volumes: volumes.names(),
    maxVolumeBytes: config.volumes.maxBytes,
  });
  const parts = jobPartsOf(all);
  const toRun = { uploads, names, jobParts: parts };
  server.add(JobService, {
    ...jobHandlers(parts),
    ...jobFileHandlers(all.files),
    ...workflowHandlers({ workflows, ...toRun }),
  });
  server.add(ScheduleService, scheduleHandlers({ schedules, workflows, ...toRun }));
  server.add(JobletService, legacyHandlers(parts));
  const gpuParts = { gpus: all.gpus, gpuStrategy: config.gpu.strategy };
  server.add(MonitoringService, monitoringHandlers({ ...all.monitoring, jobs, ...gpuParts }));
  server.add(AuditService, auditHandlers(audit));
  server.add(AlertService, alertHandlers({ ...all, ruleCount: config.alerts.rules.length }));
  server.add(EventService, eventHandlers(audit));
  server.add(RuntimeService, {
    ...runtimeHandlers({ ...parts, ...all }),
    ...buildHandlers(all),
    ...treeHandlers(all),
    ...installHandlers(all),
  });
  server.add(VolumeService, volumeHandlers(volumes, config.volumes));
  server.add(PersistService, persistHandlers(parts));
  server.add(NetworkService, networkHandlers({ networks, nameOf: (id) => jobs.nameOf(id) }));
}

function jobPartsOf(all: RpcParts): JobParts {
  const { workflows, networks, disks, config } = all;
  return {
    ...all,
    sampleIntervalMs: config.jobMetrics.intervalMs,
    dependenciesOf: (job) => workflows.dependenciesOf(job),
    host: { cores: availableParallelism(), memoryBytes: totalmem(), disks: disks.length },
    policy: policyOf(config, networks),
    nodeId: config.server.nodeId,
  };
}

function limitsOf({ grpc, joblet }: Config): GrpcLimits {
  return {
    maxConnections: MAX_CONNECTIONS,
    handshakeMs: grpc.connectionTimeoutMs,
    maxReceiveBytes: grpc.maxRecvBytes,
    maxHandshakes: grpc.maxHandshakesPerAddress,
    maxBodyBytes: BIG_REQUESTS * grpc.maxRecvBytes,
    client: {
      maxConnections: grpc.maxConnectionsPerClient,
      maxCalls: grpc.maxCallsPerClient,
      maxBodyBytes: BIG_REQUESTS_OF_CLIENT * grpc.maxRecvBytes,
      maxAnswerBytes: CLIENT_ANSWER_BYTES,
    },
    stallMs: STALL_MS,
    crowdedStallMs: CROWDED_STALL_MS,
    maxSendBytes: grpc.maxSendBytes,
    maxHeaderBytes: grpc.maxHeaderBytes,
    maxConcurrentStreams: grpc.maxConcurrentStreams,
    keepAliveMs: grpc.keepAliveMs,
    keepAliveTimeoutMs: grpc.keepAliveTimeoutMs,
    maxConnectionIdleMs: grpc.maxConnectionIdleMs,
    maxConnectionAgeMs: grpc.maxConnectionAgeMs,
    maxConnectionAgeGraceMs: grpc.maxConnectionAgeGraceMs,
    stopMs: joblet.cleanupTimeoutMs,
  };
}

function policyOf(
  { joblet, filesystem, network, uploads }: Config,
  networks: NetworkNames,
): JobPolicy {
  return {
    ...joblet,
    keepWorkMs: filesystem.keepWorkMs,
    defaultNetwork: network.defaultNetwork,
    networks,
    maxUploadBytes: uploads.maxBytes,
    maxUploadFiles: uploads.maxFiles,
  };
}
