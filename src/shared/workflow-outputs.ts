// Outputs of jobs as values for those that follow. While a file is read they are not known yet, so a
// mark stands for each of them in its text. No text of a file holds a NUL, so nothing that is put in
// is ever taken for a mark; a text is parted where its marks stand, and is filled in once.

import type { Variables } from './workflow-template.ts';

/** An output that is asked for: `${outputs.JOB.NAME:-FALLBACK}`. */
export interface OutputRef {
  readonly job: string;
  readonly name: string;
  /** What stands for it where there is none. */
  readonly fallback?: string | undefined;
}

/** A text of which some parts are known only when other jobs are over. */
export type LateText = readonly (string | OutputRef)[];

/** The texts of a job that outputs of others are put into. */
export interface LateTexts {
  /** By their places among the arguments. */
  readonly args: Readonly<Record<number, LateText>>;
  /** By the names of the variables, secret ones too. */
  readonly environment: Readonly<Record<string, LateText>>;
}

const MARK = /\0([^\0]*)\0([^\0]*)\0([^\0]*)\0/;

export function markOf({ job, name, fallback }: OutputRef): string {
  return `\0${job}\0${name}\0${fallback === undefined ? '' : `-${fallback}`}\0`;
}

export function hasMark(text: string): boolean {
  return text.includes('\0');
}

/** A text parted where its marks stand. */
export function partsOf(text: string): LateText {
  const parts: (string | OutputRef)[] = [];
  const pieces = text.split(MARK);
  for (let at = 0; at < pieces.length; at += 4) {
    const [known = '', job, name, fallback = ''] = pieces.slice(at, at + 4);
    if (known !== '') parts.push(known);
    if (job === undefined || name === undefined) continue;
    parts.push(fallback === '' ? { job, name } : { job, name, fallback: fallback.slice(1) });
  }
  return parts;
}

/** The text as it is written in a file. */
export function formatLate(text: LateText): string {
  return text
    .map((part) => {
      if (typeof part === 'string') return part;
      const { job, name, fallback } = part;
      return `\${outputs.${job}.${name}${fallback === undefined ? '' : `:-${fallback}`}}`;
    })
    .join('');
}

/** The text with its outputs put in; `find` answers what stands for one. */
export function fillLate(text: LateText, find: (ref: OutputRef) => string): string {
  return text.map((part) => (typeof part === 'string' ? part : find(part))).join('');
}

/** The outputs that a text asks for. */
export function refsOf(text: LateText): OutputRef[] {
  return text.filter((part) => typeof part !== 'string');
}

/** The arguments and variables of a job that wait for outputs; undefined where none does. */
export function lateTexts(args: readonly string[], variables: Variables): LateTexts | undefined {
  const lateArgs = [...args.entries()].filter(([, text]) => hasMark(text));
  const lateVariables = [...variables].filter(([, { text }]) => hasMark(text));
  if (lateArgs.length + lateVariables.length === 0) return undefined;
  return {
    args: Object.fromEntries(lateArgs.map(([at, text]) => [at, partsOf(text)])),
    environment: Object.fromEntries(lateVariables.map(([name, { text }]) => [name, partsOf(text)])),
  };
}
