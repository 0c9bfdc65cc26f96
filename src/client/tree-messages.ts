// The messages by which rnx installs, packs and looks through runtimes, as tables for wire.ts; see
// messages.ts.

import type { Shape } from './wire.ts';

export const VerifyRuntimeRequest = {
  runtime: [1, 'string'],
} as const satisfies Shape;

export const RuntimeFinding = {
  path: [1, 'string'],
  message: [2, 'string'],
} as const satisfies Shape;

export const RuntimeVerdict = {
  runtime: [1, 'string'],
  sound: [2, 'bool'],
  entries: [3, 'int64'],
  sizeBytes: [4, 'int64'],
  signature: [5, 'string'],
  keyId: [6, 'string'],
  findings: [7, RuntimeFinding, 'list'],
  findingCount: [8, 'int64'],
  notes: [9, 'string', 'list'],
} as const satisfies Shape;

export const VerifyRuntimeResponse = {
  runtimes: [1, RuntimeVerdict, 'list'],
} as const satisfies Shape;

export const InstallRuntimeRequest = {
  runtimeSpec: [1, 'string'],
  repository: [2, 'string'],
  branch: [3, 'string'],
  path: [4, 'string'],
  forceReinstall: [5, 'bool'],
  registryUrl: [6, 'string'],
} as const satisfies Shape;

export const RuntimeFile = {
  path: [1, 'string'],
  content: [2, 'bytes'],
  executable: [3, 'bool'],
} as const satisfies Shape;

export const InstallRuntimeFromLocalRequest = {
  runtimeSpec: [1, 'string'],
  files: [2, RuntimeFile, 'list'],
  forceReinstall: [3, 'bool'],
  uploadId: [185, 'string'],
  isFolder: [186, 'bool'],
} as const satisfies Shape;

export const RuntimeInstallationProgress = {
  message: [1, 'string'],
  step: [2, 'int32'],
  totalSteps: [3, 'int32'],
  done: [185, 'int64'],
  total: [186, 'int64'],
} as const satisfies Shape;

export const RuntimeInstallationLog = {
  data: [1, 'bytes'],
} as const satisfies Shape;

export const RuntimeInstallationResult = {
  success: [1, 'bool'],
  message: [2, 'string'],
  runtimeSpec: [3, 'string'],
  installPath: [4, 'string'],
  sizeBytes: [185, 'int64'],
  newBytes: [186, 'int64'],
} as const satisfies Shape;

export const RuntimeInstallationChunk = {
  progress: [1, RuntimeInstallationProgress],
  log: [2, RuntimeInstallationLog],
  result: [3, RuntimeInstallationResult],
} as const satisfies Shape;

export const PackRuntimeRequest = {
  runtime: [1, 'string'],
  format: [2, 'string'],
} as const satisfies Shape;

export const PackRuntimeChunk = {
  fileName: [1, 'string'],
  data: [2, 'bytes'],
  done: [3, 'int64'],
  total: [4, 'int64'],
  sha256: [5, 'string'],
  sizeBytes: [6, 'int64'],
} as const satisfies Shape;
