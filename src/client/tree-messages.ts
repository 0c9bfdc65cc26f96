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
