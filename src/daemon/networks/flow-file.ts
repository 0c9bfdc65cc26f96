// Where the flows of a job are kept: beside its log, a line of JSON each, so that they go with it. A flow
// that came to its end has another line; the last one counts. What a crash tore off is overlooked.

import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type Flow, MAX_FLOWS } from './flow.ts';

const FILE = 'flows.jsonl';

/** A flow with what the kernel calls it, or how many were left out so far. */
export type FlowLine = { readonly flow: Flow; readonly key: string } | { readonly omitted: number };

export interface KeptFlows {
  readonly flows: Map<number, Flow>;
  /** Those that have not ended, by what the kernel calls them. */
  readonly open: Map<string, number>;
  readonly omitted: number;
}

export function appendFlows(directory: string, lines: readonly FlowLine[]): void {
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
  appendFileSync(path.join(directory, FILE), text, { mode: 0o600 });
}

export function readFlows(directory: string): KeptFlows {
  const file = path.join(directory, FILE);
  return parseFlows(existsSync(file) ? readFileSync(file, 'utf8') : '');
}

export function parseFlows(text: string): KeptFlows {
  const flows = new Map<number, Flow>();
  const open = new Map<string, number>();
  let omitted = 0;
  for (const each of text.split('\n')) {
    const line = parseLine(each);
    if (line === undefined) continue;
    if ('omitted' in line) {
      omitted = line.omitted;
      continue;
    }
    const { flow, key } = line;
    flows.set(flow.number, flow);
    if (flow.endedAtMs === 0) open.set(key, flow.number);
    else open.delete(key);
  }
  return { flows, open, omitted };
}

function parseLine(text: string): FlowLine | undefined {
  if (!text.endsWith('}')) return undefined;
  try {
    const line = JSON.parse(text) as { flow?: Flow; key?: string; omitted?: number };
    if (Number.isSafeInteger(line.omitted)) return { omitted: Number(line.omitted) };
    const { flow, key = '' } = line;
    const number = flow?.number ?? 0;
    return flow !== undefined && number >= 1 && number <= MAX_FLOWS ? { flow, key } : undefined;
  } catch {
    return undefined;
  }
}
