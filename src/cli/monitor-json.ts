// The state of a node for programs: in the groups and by the names that pages for people have always
// read, and beside them every field of the API by its own name. Numbers are numbers, and what is 0 or
// empty is there.

import type { SystemMetricsResponse, SystemStatusResponse } from '../gen/joblet/monitoring_pb.ts';

type Look = SystemMetricsResponse | SystemStatusResponse;
type Group<K extends keyof SystemStatusResponse> = NonNullable<SystemStatusResponse[K]>;

/** A look at a node; groups that were not asked for are left out. */
export function monitorJson(look: Look): object {
  return {
    timestamp: look.timestamp,
    ...('available' in look && { available: look.available }),
    ...(look.host && { hostInfo: hostInfo(look.host, look.cloud) }),
    ...(look.cpu && { cpuInfo: cpuInfo(look.cpu) }),
    ...(look.memory && { memoryInfo: memoryInfo(look.memory) }),
    ...(look.disks.length > 0 && { disksInfo: disksInfo(look.disks) }),
    ...(look.networks.length > 0 && { networkInfo: networkInfo(look.networks) }),
    ...(look.io && { ioInfo: fields(look.io) }),
    ...(look.processes && { processesInfo: processesInfo(look.processes) }),
    ...(look.cloud && { cloudInfo: fields(look.cloud) }),
    ...('jobs' in look && look.jobs.length > 0 && { jobs: look.jobs.map(fields) }),
    ...('serverVersion' in look &&
      look.serverVersion && { serverVersion: fields(look.serverVersion) }),
  };
}

function hostInfo(host: Group<'host'>, cloud: SystemStatusResponse['cloud']): object {
  return {
    ...fields(host),
    arch: host.architecture,
    cloudProvider: cloud?.provider ?? '',
    instanceType: cloud?.instanceType ?? '',
    region: cloud?.region ?? '',
  };
}

/** Shares of a processor are from 0 to 1 here, those with percent in their name to 100. */
function cpuInfo(cpu: Group<'cpu'>): object {
  return {
    ...fields(cpu),
    usage: cpu.usagePercent / 100,
    perCoreUsage: cpu.perCoreUsage.map((percent) => percent / 100),
  };
}

function memoryInfo(memory: Group<'memory'>): object {
  const { swapTotal, swapUsed } = memory;
  return {
    ...fields(memory),
    total: Number(memory.totalBytes),
    used: Number(memory.usedBytes),
    free: Number(memory.freeBytes),
    available: Number(memory.availableBytes),
    percent: memory.usagePercent,
    cached: Number(memory.cachedBytes),
    buffered: Number(memory.bufferedBytes),
    swap: {
      total: Number(swapTotal),
      used: Number(swapUsed),
      percent: swapTotal > 0n ? (Number(swapUsed) / Number(swapTotal)) * 100 : 0,
    },
  };
}

function disksInfo(disks: Group<'disks'>): object {
  return {
    disks: disks.map((disk) => ({
      ...fields(disk),
      // A volume goes by its own name; it is mounted below a folder that is called so.
      name: disk.filesystem === 'joblet-volume' ? disk.mountPoint.split('/').at(-2) : disk.device,
      mountpoint: disk.mountPoint,
      size: Number(disk.totalBytes),
      used: Number(disk.usedBytes),
      available: Number(disk.freeBytes),
      percent: disk.usagePercent,
    })),
    totalSpace: sum(disks, ({ totalBytes }) => totalBytes),
    usedSpace: sum(disks, ({ usedBytes }) => usedBytes),
  };
}

function networkInfo(networks: Group<'networks'>): object {
  return {
    interfaces: networks.map((network) => ({
      ...fields(network),
      name: network.interface,
      rxBytes: Number(network.bytesReceived),
      txBytes: Number(network.bytesSent),
      rxPackets: Number(network.packetsReceived),
      txPackets: Number(network.packetsSent),
    })),
    totalRxBytes: sum(networks, ({ bytesReceived }) => bytesReceived),
    totalTxBytes: sum(networks, ({ bytesSent }) => bytesSent),
  };
}

function processesInfo(processes: Group<'processes'>): object {
  return {
    ...fields(processes),
    processes: processes.topByCpu.map((each) => ({
      ...fields(each),
      cpu: each.cpuPercent,
      memory: each.memoryPercent,
    })),
  };
}

function sum<T>(items: readonly T[], bytesOf: (item: T) => bigint): number {
  return items.reduce((all, item) => all + Number(bytesOf(item)), 0);
}

/** Every field of a message, what is inside it too; sizes are far below what a number holds exactly. */
function fields(message: object): object {
  return JSON.parse(
    JSON.stringify(message, (key, value) =>
      key.startsWith('$') ? undefined : typeof value === 'bigint' ? Number(value) : value,
    ),
  );
}
