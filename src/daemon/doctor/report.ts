// What the doctor says: for people, in lines that fit, or as JSON.

import type { Check, Finding, Needed, State } from './check.ts';

/** A finding with all that is to be said about it. */
export interface Line extends Finding, Pick<Check, 'group' | 'name' | 'needed'> {
  /** Said where the finding is limited or missing. */
  readonly means: string;
  readonly remedy: string;
}

export interface Verdict {
  /** Jobs can run with everything that is promised. */
  readonly sound: boolean;
  readonly sentence: string;
}

/** Only what every job needs counts; a feature or some speed may be missing. */
export function judge(lines: readonly Line[]): Verdict {
  const forJobs = lines.filter(({ needed }) => needed === 'jobs');
  const of = (state: State) => forJobs.filter((line) => line.state === state);
  const [missing, unknown, limited] = [of('missing'), of('unknown'), of('limited')];
  const names = (some: readonly Line[]) => some.map(({ name }) => name).join(', ');
  if (missing.length > 0) {
    const sentence = `Something that is promised cannot be kept here: ${names(missing)}.`;
    return { sound: false, sentence };
  }
  if (unknown.length > 0) {
    const sentence = `Not everything was found out: ${names(unknown)}.`;
    return { sound: false, sentence: `${sentence} Run joblet doctor as root.` };
  }
  const features = lackingFeatures(lines);
  const sentence = [
    'Jobs can run here with everything that is promised.',
    ...(features.length > 0 ? [`Not to be had: ${features.join('; ')}.`] : []),
    ...(limited.length > 0 ? [`Worth a look: ${names(limited)}.`] : []),
  ].join(' ');
  return { sound: true, sentence };
}

/** Features of this version that cannot be had here. */
function lackingFeatures(lines: readonly Line[]): readonly string[] {
  const missing = lines
    .filter(({ state }) => state === 'missing')
    .flatMap(({ needed }) =>
      typeof needed === 'object' && 'feature' in needed ? [needed.feature] : [],
    );
  return [...new Set(missing)];
}

export function formatJson(host: string, lines: readonly Line[]): string {
  const { sound, sentence } = judge(lines);
  const checks = lines.map(({ group, name, needed, state, found, means, remedy }) => ({
    group,
    name,
    neededFor: words(needed),
    state,
    found,
    ...(isWanting(state) ? { means, remedy } : {}),
  }));
  return `${JSON.stringify({ host, sound, verdict: sentence, checks }, undefined, 2)}\n`;
}

const MARGIN = '  ';
const STATE_COLUMNS = 'missing'.length;
const LEAST_COLUMNS = 40;

const colors: Readonly<Record<State, number>> = { ok: 32, limited: 33, missing: 31, unknown: 36 };
const BOLD = 1;

/** Grouped, `columns` wide. */
export function formatText(
  host: string,
  lines: readonly Line[],
  columns: number,
  hasColor: boolean,
): string {
  const paint = (text: string, color: number) =>
    hasColor ? `\u001b[${color}m${text}\u001b[0m` : text;
  const width = Math.max(LEAST_COLUMNS, columns);
  const indent = `${MARGIN}${' '.repeat(STATE_COLUMNS)}${MARGIN}`;
  const text: string[] = [`joblet doctor: ${host}`];
  for (const [at, line] of lines.entries()) {
    if (line.group !== lines[at - 1]?.group) text.push('', paint(line.group, BOLD));
    // What only a feature needs does not alarm anybody.
    const color =
      line.needed === 'jobs' || line.state === 'ok' ? colors[line.state] : colors.unknown;
    const state = paint(line.state, color) + ' '.repeat(STATE_COLUMNS - line.state.length);
    const [first = '', ...rest] = wrap(`${line.name}: ${line.found}`, width - indent.length);
    text.push(`${MARGIN}${state}${MARGIN}${first}`, ...rest.map((each) => `${indent}${each}`));
    if (!isWanting(line.state)) continue;
    const more = {
      'needed for': words(line.needed),
      'it means': line.means,
      'what to do': line.remedy,
    };
    for (const [label, sentence] of Object.entries(more)) {
      const [head = '', ...others] = wrap(`${label}: ${sentence}`, width - indent.length - 2);
      text.push(`${indent}- ${head}`, ...others.map((each) => `${indent}  ${each}`));
    }
  }
  const { sound, sentence } = judge(lines);
  const verdict = wrap(sentence, width).map((each) =>
    paint(each, sound ? colors.ok : colors.missing),
  );
  return `${[...text, '', ...verdict].join('\n')}\n`;
}

function isWanting(state: State): boolean {
  return state === 'limited' || state === 'missing';
}

function words(needed: Needed): string {
  if (needed === 'jobs') return 'all jobs';
  if (needed === 'speed') return 'speed';
  return 'later' in needed ? `${needed.later} (a later version)` : needed.feature;
}

/** Breaks at spaces; a word that is longer than a line stays whole. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
