// The ways into a node: the API, the web port where there is one, and the socket for commands of the
// same host.

import { openAlerts } from './alerts/open.ts';
import { type Config, loadConfig } from './config.ts';
import { listenControl } from './control.ts';
import { systemClock } from './jobs/due.ts';
import { readHostSystem } from './linux/host-usage.ts';
import type { Log } from './log.ts';
import type { Parts } from './parts.ts';
import { CallJournal } from './rpc/call-journal.ts';
import { rules } from './rpc/roles.ts';
import { createRpc, type RpcParts } from './rpc/server.ts';
import { directoriesOf } from './state.ts';
import type { Stops } from './stops.ts';
import { CallCounts } from './telemetry/call-counts.ts';
import { type Cloud, detectCloud } from './telemetry/cloud.ts';
import { HostWatch } from './telemetry/host.ts';
import { isWebPath, openWeb } from './web/web.ts';

/** Where the node is reached. */
export interface WaysIn {
  readonly port: number;
  /** Undefined when there is none. */
  readonly webPort: number | undefined;
  /** Reads anew what counts at once of the configuration. */
  reload(): void;
}

/** Opens them, the ports last: whoever is let in finds everything there. */
export async function openWaysIn(
  config: Config,
  parts: Parts,
  stops: Stops,
  log: Log,
): Promise<WaysIn> {
  stops.push(
    await listenControl(config.run.directory, ({ copyTo }) => copyState(parts, copyTo, log)),
  );
  const observed = await observe(config, parts, stops, log);
  const rpc = createRpc({ ...parts, ...observed, layoutKind: parts.layout.kind, config, log });
  stops.push(() => rpc.stop());
  const port = await rpc.listen();
  const reload = () => rpc.credentials.reload();
  if (!config.web.enabled) return { port, webPort: undefined, reload };
  const web = await openWeb({
    config,
    journal: observed.journal,
    rpc,
    log: parts,
    events: parts.audit,
    metrics: { ...parts, ...observed },
  });
  stops.push(() => web.stop());
  return { port, webPort: web.port, reload };
}

/** Copies the database into a new file, while everything goes on. */
async function copyState({ db, audit }: Parts, file: string, log: Log): Promise<void> {
  await db.copyTo(file);
  await audit.record({ atMs: Date.now(), action: 'state.copied', result: 'ok', detail: file });
  log.info('the state was copied', { file });
}

/** What looks at the host, at calls and at whatever alerts are about. */
async function observe(config: Config, parts: Parts, stops: Stops, log: Log) {
  const { audit, memory, samples } = parts;
  const host = new HostWatch();
  host.start(config.monitoring.intervalMs);
  stops.push(() => host.stop());
  let cloud: Cloud | undefined;
  if (config.monitoring.cloudDetection) {
    void detectCloud().then((found) => {
      cloud = found;
    });
  }
  const callCounts = new CallCounts((method) => rules.has(method) || isWebPath(method));
  const journal = new CallJournal({ audit, memory, counts: callCounts, log });
  stops.push(() => journal.flush());
  const alerts = openAlertsOf(config, parts, host, log);
  await alerts.start();
  stops.push(() => alerts.stop());
  const system = readHostSystem();
  const monitoring: RpcParts['monitoring'] = {
    host,
    samples,
    system,
    cloud: () => cloud,
    volumesDirectory: config.volumes.directory,
    nodeId: config.server.nodeId,
  };
  return { host, bootedAtMs: system.bootedAtMs, monitoring, callCounts, journal, alerts };
}

function openAlertsOf(config: Config, parts: Parts, host: HostWatch, log: Log) {
  const { db, audit, store, samples, jobs } = parts;
  return openAlerts({
    config: config.alerts,
    db,
    audit,
    host,
    samples,
    waiting: () => jobs.census().byStatus.get('PENDING') ?? 0,
    jobOf: (id) => {
      if (jobs.isOver(id)) return undefined;
      const { name, limits } = jobs.get(id).spec;
      return { name, memoryLimitBytes: limits.memoryBytes };
    },
    nameOf: (id) => store.find(id)?.spec.name ?? '',
    directories: directoriesOf(config),
    certificates: () => {
      const { serverCert, caCert } = loadConfig(config.file, process.env).security;
      return { server: serverCert, ca: caCert };
    },
    nodeId: config.server.nodeId,
    clock: systemClock,
    log,
  });
}
