// From how a GPU does to what clients see of it.

import type { MessageInitShape as Init } from '@bufbuild/protobuf';
import type { JobGPUMetricsSchema } from '../../gen/joblet/metrics_pb.ts';
import type { GpuUsage } from '../linux/nvidia-smi.ts';

export function toGpuMetrics(gpu: GpuUsage): Init<typeof JobGPUMetricsSchema> {
  return {
    index: gpu.index,
    uuid: gpu.uuid,
    name: gpu.name,
    computeCapability: gpu.computeCapability,
    driverVersion: gpu.driverVersion,
    utilization: gpu.utilization,
    memoryUsed: BigInt(gpu.memoryUsed),
    memoryTotal: BigInt(gpu.memoryTotal),
    memoryFree: BigInt(gpu.memoryFree),
    memoryPercent: gpu.memoryTotal > 0 ? (gpu.memoryUsed / gpu.memoryTotal) * 100 : 0,
    encoderUtil: gpu.encoderUtil,
    decoderUtil: gpu.decoderUtil,
    smClock: BigInt(gpu.smClock),
    memoryClock: BigInt(gpu.memoryClock),
    pcieThroughputRx: gpu.pcieRx,
    pcieThroughputTx: gpu.pcieTx,
    temperature: gpu.temperature,
    temperatureMemory: gpu.temperatureMemory,
    powerDraw: gpu.powerDraw,
    powerLimit: gpu.powerLimit,
    fanSpeed: gpu.fanSpeed,
    eccErrorsSingle: BigInt(gpu.eccSingle),
    eccErrorsDouble: BigInt(gpu.eccDouble),
    xidErrors: BigInt(gpu.xidErrors),
    retiredPages: BigInt(gpu.retiredPages),
    throttleReasons: BigInt(gpu.throttleReasons),
    processesCount: BigInt(gpu.processesCount),
    processesMemory: BigInt(gpu.processesMemory),
    computeMode: gpu.computeMode,
  };
}

/** The mean use of a job's GPUs in percent, and what of their memory is in use. */
export function sumOfGpus(gpus: readonly GpuUsage[] = []): {
  readonly percent: number;
  readonly memoryBytes: number;
} {
  const sum = (value: (gpu: GpuUsage) => number) => gpus.reduce((all, gpu) => all + value(gpu), 0);
  return {
    percent: gpus.length === 0 ? 0 : sum(({ utilization }) => utilization) / gpus.length,
    memoryBytes: sum(({ memoryUsed }) => memoryUsed),
  };
}
