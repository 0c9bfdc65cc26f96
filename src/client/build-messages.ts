// The messages by which rnx checks and builds runtimes, as tables for wire.ts; see messages.ts.

import type { Shape } from './wire.ts';

export const ValidateRuntimeYAMLRequest = {
  yamlContent: [1, 'string'],
  fileName: [190, 'string'],
} as const satisfies Shape;

export const RuntimeYAMLInfo = {
  name: [1, 'string'],
  version: [2, 'string'],
  language: [3, 'string'],
  languageVersion: [4, 'string'],
  description: [5, 'string'],
  pipPackages: [6, 'string', 'list'],
  npmPackages: [7, 'string', 'list'],
  hasHooks: [8, 'bool'],
  requiresGpu: [9, 'bool'],
  base: [190, 'string'],
  aptPackages: [191, 'string', 'list'],
  platforms: [192, 'string', 'list'],
  filesBeside: [193, 'string', 'list'],
} as const satisfies Shape;

export const ValidateRuntimeYAMLResponse = {
  valid: [1, 'bool'],
  message: [2, 'string'],
  errors: [3, 'string', 'list'],
  warnings: [4, 'string', 'list'],
  specInfo: [5, RuntimeYAMLInfo],
} as const satisfies Shape;

export const BuildRuntimeRequest = {
  yamlContent: [1, 'string'],
  dryRun: [2, 'bool'],
  verbose: [3, 'bool'],
  forceRebuild: [4, 'bool'],
  fileName: [190, 'string'],
  uploadId: [191, 'string'],
  lock: [192, 'string'],
  specification: [193, 'string'],
} as const satisfies Shape;

export const BuildPhaseProgress = {
  phaseNumber: [1, 'int32'],
  totalPhases: [2, 'int32'],
  phaseName: [3, 'string'],
  message: [4, 'string'],
} as const satisfies Shape;

export const BuildLogLine = {
  level: [1, 'string'],
  message: [2, 'string'],
  timestamp: [3, 'int64'],
} as const satisfies Shape;

export const BuildResult = {
  success: [1, 'bool'],
  message: [2, 'string'],
  runtimeName: [3, 'string'],
  runtimeVersion: [4, 'string'],
  installPath: [5, 'string'],
  sizeBytes: [6, 'int64'],
  buildDurationMs: [7, 'int64'],
  buildJobUuid: [190, 'string'],
  lock: [191, 'string'],
} as const satisfies Shape;

export const BuildRuntimeProgress = {
  phase: [1, BuildPhaseProgress],
  log: [2, BuildLogLine],
  result: [3, BuildResult],
} as const satisfies Shape;
