// The phases of a build, and the lines by which the program in the builder's sandbox tells of them.
// Whatever the programs that it starts print stands two spaces further in, so that nothing of it can
// be taken for a phase.

export const phases = [
  'Validate specification',
  'Detect platform',
  'Check disk space',
  'Validate packages',
  'Prepare directories',
  'Pre-install hook',
  'Install base packages',
  'Install pip and npm packages',
  'Post-install hook',
  'Copy binaries',
  'Copy libraries',
  'Copy configuration',
  'Write runtime.yml',
  'Final validation',
] as const;
export type Phase = (typeof phases)[number];

export const lineLevels = ['info', 'warn', 'error'] as const;
export type LineLevel = (typeof lineLevels)[number];

export type BuildLine =
  | { readonly kind: 'phase'; readonly phase: Phase; readonly message: string }
  | { readonly kind: 'log'; readonly level: LineLevel; readonly message: string };

const marks = { info: '  ', warn: '! ', error: '* ' } as const satisfies Record<LineLevel, string>;
/** `s`: a message may have the line separators of Unicode, which end no line here. */
const PHASE = /^\[ ?(\d{1,2})\/\d+\] ([^:]+)(?:: (.*))?$/s;

/** `[ 7/14] Install base packages: 23 packages` */
export function formatPhase(phase: Phase, message: string): string {
  const number = String(numberOf(phase)).padStart(2);
  return `[${number}/${phases.length}] ${phase}${message === '' ? '' : `: ${message}`}`;
}

export function formatLog(level: LineLevel, message: string): string {
  return `${marks[level]}${message}`;
}

/** From 1. */
export function numberOf(phase: Phase): number {
  return phases.indexOf(phase) + 1;
}

/** What a line of the output says; anything can stand there. */
export function parseBuildLine(line: string): BuildLine {
  const [, number = '', name = '', message = ''] = PHASE.exec(line) ?? [];
  const phase = phases[Number(number) - 1];
  if (phase !== undefined && phase === name) return { kind: 'phase', phase, message };
  const level = lineLevels.find((word) => line.startsWith(marks[word]));
  if (level === undefined) return { kind: 'log', level: 'info', message: line };
  return { kind: 'log', level, message: line.slice(marks[level].length) };
}
