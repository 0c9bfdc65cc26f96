// Reads what the program in the builder's sandbox left. It runs what others wrote, so its answer is
// checked like any other input.

import { z } from 'zod';
import { lockSchema } from '../../shared/build-lock.ts';
import { phases } from '../../shared/build-phases.ts';
import type { BuildOutcome } from '../../shared/build-task.ts';

export const MAX_OUTCOME_BYTES = 8 * 1024 ** 2;
const MAX_MESSAGE_CHARS = 64 * 1024;

const schema = z.discriminatedUnion('ok', [
  z.strictObject({ ok: z.literal(true), lock: lockSchema }),
  z.strictObject({
    ok: z.literal(false),
    phase: z.enum(phases),
    message: z.string().max(MAX_MESSAGE_CHARS),
  }),
]);

/** An outcome, or undefined for what is none. */
export function parseOutcome(text: string): BuildOutcome | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const result = schema.safeParse(value);
  return result.success ? result.data : undefined;
}
