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
} as const satisfies Shape;

export const ValidateRuntimeYAMLResponse = {
  valid: [1, 'bool'],
  message: [2, 'string'],
  errors: [3, 'string', 'list'],
  warnings: [4, 'string', 'list'],
  specInfo: [5, RuntimeYAMLInfo],
} as const satisfies Shape;
