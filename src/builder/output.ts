// What the program says, line by line: see shared/build-phases.ts.

import { writeSync } from 'node:fs';
import { formatLog, formatPhase, type LineLevel, type Phase } from '../shared/build-phases.ts';

const MAX_LINE_CHARS = 4096;

/** A failure of the build that its author can understand. */
export class BuildError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'BuildError';
  }
}

let current: Phase = 'Validate packages';

/** The phase that runs. */
export function currentPhase(): Phase {
  return current;
}

export function sayPhase(phase: Phase, message = ''): void {
  current = phase;
  write(formatPhase(phase, oneLine(message)));
}

export function say(message: string, level: LineLevel = 'info'): void {
  for (const line of message.split('\n')) write(formatLog(level, oneLine(line)));
}

/** A carriage return would begin the line anew, as progress bars do. */
function oneLine(text: string): string {
  return (text.split('\r').findLast((part) => part !== '') ?? '').slice(0, MAX_LINE_CHARS);
}

function write(line: string): void {
  const bytes = Buffer.from(`${line}\n`);
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}
