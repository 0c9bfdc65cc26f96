// The messages by which rnx asks about runtimes that are there, as tables for wire.ts; see messages.ts.

import type { Message, Shape } from './wire.ts';

export const RuntimeRequirements = {
  architectures: [1, 'string', 'list'],
  gpu: [2, 'bool'],
  minMemoryBytes: [180, 'int64'],
  recommendedMemoryBytes: [181, 'int64'],
} as const satisfies Shape;

export const RuntimeBuildInfo = {
  builtAt: [1, 'string'],
  builtWith: [2, 'string'],
  platform: [3, 'string'],
} as const satisfies Shape;

export const RuntimeInfo = {
  name: [1, 'string'],
  language: [2, 'string'],
  version: [3, 'string'],
  description: [4, 'string'],
  sizeBytes: [5, 'int64'],
  packages: [6, 'string', 'list'],
  available: [7, 'bool'],
  requirements: [8, RuntimeRequirements],
  languageVersion: [9, 'string'],
  libraries: [10, 'string', 'list'],
  environment: [11, 'string', 'map'],
  buildInfo: [12, RuntimeBuildInfo],
  originalYaml: [13, 'string'],
  type: [180, 'string'],
  problem: [181, 'string'],
  aliases: [182, 'string', 'list'],
  tests: [183, 'string', 'list'],
  warnings: [184, 'string', 'list'],
  uniqueBytes: [185, 'int64'],
} as const satisfies Shape;

export const ListRuntimesResponse = {
  runtimes: [1, RuntimeInfo, 'list'],
  diskBytes: [185, 'int64'],
} as const satisfies Shape;

export const GetRuntimeInfoRequest = {
  runtime: [1, 'string'],
} as const satisfies Shape;

export const GetRuntimeInfoResponse = {
  runtime: [1, RuntimeInfo],
  found: [2, 'bool'],
  message: [180, 'string'],
} as const satisfies Shape;

export const TestRuntimeRequest = {
  runtime: [1, 'string'],
} as const satisfies Shape;

export const RuntimeTestResult = {
  name: [1, 'string'],
  passed: [2, 'bool'],
  problem: [3, 'string'],
  jobUuid: [4, 'string'],
  durationMs: [5, 'int64'],
} as const satisfies Shape;

export const TestRuntimeResponse = {
  success: [2, 'bool'],
  output: [3, 'string'],
  error: [4, 'string'],
  exitCode: [5, 'int32'],
  tests: [180, RuntimeTestResult, 'list'],
} as const satisfies Shape;

export const RemoveRuntimeRequest = {
  runtime: [1, 'string'],
} as const satisfies Shape;

export const RemoveRuntimeResponse = {
  success: [1, 'bool'],
  message: [2, 'string'],
  freedSpaceBytes: [3, 'int64'],
  removed: [180, 'string', 'list'],
} as const satisfies Shape;

export const RuntimeSpecInfo = {
  language: [1, 'string'],
  version: [2, 'string'],
  variants: [3, 'string', 'list'],
  architecture: [4, 'string'],
} as const satisfies Shape;

export const ValidateRuntimeSpecRequest = {
  runtimeSpec: [1, 'string'],
} as const satisfies Shape;

export const ValidateRuntimeSpecResponse = {
  valid: [1, 'bool'],
  message: [2, 'string'],
  normalizedSpec: [3, 'string'],
  specInfo: [4, RuntimeSpecInfo],
} as const satisfies Shape;

export const ListRegistriesRequest = {
  registryUrl: [1, 'string'],
} as const satisfies Shape;

export const RuntimeOffer = {
  name: [1, 'string'],
  versions: [2, 'string', 'list'],
  latest: [3, 'string'],
  platforms: [4, 'string', 'list'],
  description: [5, 'string'],
} as const satisfies Shape;

export const RuntimeRegistry = {
  address: [1, 'string'],
  updatedTime: [2, 'string'],
  offers: [3, RuntimeOffer, 'list'],
} as const satisfies Shape;

export const ListRegistriesResponse = {
  registries: [1, RuntimeRegistry, 'list'],
} as const satisfies Shape;

export type RegistriesListed = Message<typeof ListRegistriesResponse>;
export type RuntimeDetail = Message<typeof RuntimeInfo>;
export type RuntimesListed = Message<typeof ListRuntimesResponse>;
export type RuntimeTested = Message<typeof TestRuntimeResponse>;
export type RuntimeNameChecked = Message<typeof ValidateRuntimeSpecResponse>;
