// What rnx runtime validate says of the name of a runtime.

import { validateRuntimeSpec } from '../client/methods.ts';
import type { RuntimeNameChecked } from '../client/runtime-messages.ts';
import { jsonText, visible } from './print.ts';
import type { Session } from './session.ts';

const DEADLINE_MS = 10_000;

/** Takes a name apart, whether or not there is such a runtime. */
export async function validateName(name: string, session: Session): Promise<number> {
  const connection = await session.connect();
  const checked = await connection.unary(
    validateRuntimeSpec,
    { runtimeSpec: name },
    { deadlineMs: session.deadlineMs(DEADLINE_MS) },
  );
  if (session.json) await session.out.write(jsonText(nameJson(name, checked)));
  else if (checked.valid) await session.out.write(nameText(name, checked));
  else await session.err.write(`✗ ${visible(checked.message)}\n`);
  return checked.valid ? 0 : 1;
}

/** The parts of a name. */
export function nameText(name: string, checked: RuntimeNameChecked): string {
  const { message, normalizedSpec, specInfo: words } = checked;
  const parts = [
    ['Language', words?.language ?? ''],
    ['Version', words?.version ?? ''],
    ['Variants', words?.variants.join(', ') ?? ''],
    ['Architecture', words?.architecture ?? ''],
  ].filter(([, value]) => value !== '');
  const lines = [
    `✓ ${message}`,
    `  Original: ${name}`,
    `  Normalized: ${normalizedSpec}`,
    ...(parts.length > 0 ? ['', 'Parsed Information:'] : []),
    ...parts.map(([label, value]) => `  ${label}: ${value}`),
  ];
  return lines.map((line) => `${visible(line)}\n`).join('');
}

function nameJson(name: string, checked: RuntimeNameChecked): object {
  const { valid, message, normalizedSpec, specInfo } = checked;
  return { valid, message, original: name, normalized: normalizedSpec, spec_info: specInfo };
}
