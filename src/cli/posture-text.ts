// How a job is held, as `rnx job status --posture` shows it.

import type { Posture } from '../client/messages.ts';
import { formatBytes } from '../shared/units.ts';
import { visible } from './print.ts';

/** Columns of a line, without the indent of its section. */
const COLUMNS = 78;

/** One side after the other; what the kernel said of it comes last. */
export function postureLines(posture: Posture): string[] {
  const { firstId, idCount, kernel } = posture;
  const sides: Readonly<Record<string, readonly string[]>> = {
    Ids: [`0 to ${idCount - 1} are ${firstId} to ${firstId + idCount - 1} on the host`],
    'Namespaces Of Its Own': posture.namespaces,
    Capabilities: posture.capabilities,
    'No New Privileges': [posture.noNewPrivs ? 'yes' : 'no'],
    'System Call Filter': [posture.filter],
    'Process 1': [posture.init],
    Network: [posture.network],
    Root: [posture.root],
    [posture.root === 'host' ? 'Of The Host, Read-only' : 'Of The Runtime, Read-only']:
      posture.readOnly,
    'Can Write': posture.writable.map(
      ({ path, bytes, kind }) => `${path} (${formatBytes(Number(bytes))}, ${kind})`,
    ),
    Limits: posture.limits,
    ...(posture.gpus.length > 0 ? { GPUs: posture.gpus } : {}),
    'Started By': [posture.startedBy],
  };
  const lines = Object.entries(sides).flatMap(([label, items]) => listLines(label, items));
  if (kernel === undefined) return [...lines, 'Kernel: not asked, as the job does not run'];
  return [
    ...lines,
    ...listLines(`Kernel, Asked Now Of Process ${kernel.pid}`, kernel.confirmed),
    ...kernel.deviations.map((line) => `NOT AS IT SHOULD BE: ${visible(line)}`),
  ];
}

/** `Label: one, two` on as many lines as it takes, those after the first further to the right. */
function listLines(label: string, items: readonly string[]): string[] {
  const [first = 'none', ...rest] = items.map(visible);
  const lines: string[] = [];
  let line = `${label}: ${first}`;
  for (const item of rest) {
    line += ',';
    if (line.length + 1 + item.length <= COLUMNS) {
      line += ` ${item}`;
    } else {
      lines.push(line);
      line = `  ${item}`;
    }
  }
  return [...lines, line];
}
