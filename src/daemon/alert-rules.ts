// The rules of alerts and whom they tell, as they stand in the configuration.

import { z } from 'zod';
import { messageOf } from '../shared/errors.ts';
import { formatDuration, parseDuration } from '../shared/units.ts';

type Option = 'above' | 'below' | 'for' | 'path' | 'jobs';

interface Measured {
  /** What is measured, for people. */
  readonly meaning: string;
  /** Behind the number. */
  readonly unit: string;
  /** The highest limit that makes sense. */
  readonly most: number;
  readonly needs: readonly Option[];
  readonly takes: readonly Option[];
}

/** What a rule can be about. */
export const measures = {
  cpu: {
    meaning: 'all cores of the host are busy',
    unit: ' %',
    most: 100,
    needs: ['above'],
    takes: ['for'],
  },
  memory: {
    meaning: 'memory of the host in use',
    unit: ' %',
    most: 100,
    needs: ['above'],
    takes: ['for'],
  },
  load: {
    meaning: 'load average of one minute',
    unit: '',
    most: 100_000,
    needs: ['above'],
    takes: ['for'],
  },
  disk: {
    meaning: 'disk in use',
    unit: ' %',
    most: 100,
    needs: ['above'],
    takes: ['for', 'path'],
  },
  'jobs-waiting': {
    meaning: 'jobs that wait for their turn',
    unit: '',
    most: 1_000_000,
    needs: ['above'],
    takes: ['for'],
  },
  'job-cpu': {
    meaning: 'processor time of a job, in percent of one core',
    unit: ' %',
    most: 1_000_000,
    needs: ['above'],
    takes: ['for', 'jobs'],
  },
  'job-memory': {
    meaning: 'memory of a job, in percent of its limit',
    unit: ' %',
    most: 100,
    needs: ['above'],
    takes: ['for', 'jobs'],
  },
  'job-failed': { meaning: 'a job failed', unit: '', most: 0, needs: [], takes: ['jobs'] },
  certificate: {
    meaning: 'certificate of the node runs out',
    unit: '',
    most: 0,
    needs: ['below'],
    takes: [],
  },
} as const satisfies Record<string, Measured>;

export type Measure = keyof typeof measures;

const words = Object.keys(measures) as [Measure, ...Measure[]];
const options: readonly Option[] = ['above', 'below', 'for', 'path', 'jobs'];

const MAX_RULES = 100;
const MAX_TARGETS = 20;
const MAX_ARGUMENTS = 32;
const MAX_HEADERS = 16;
const MAX_TEXT_CHARS = 1024;
const MAX_DURATION_MS = 365 * 86_400_000;

/** Text of a pattern, with a message that says how it is to be. */
function text(pattern: RegExp, error: string) {
  return z.string({ error }).max(MAX_TEXT_CHARS, { error }).regex(pattern, { error });
}

function duration(leastMs: number, mostMs: number) {
  return z.unknown().transform((value, context) => {
    try {
      const ms = parseDuration(typeof value === 'object' ? '' : String(value));
      if (ms >= leastMs && ms <= mostMs) return ms;
      context.addIssue(`must be from ${formatDuration(leastMs)} to ${formatDuration(mostMs)}`);
    } catch (error) {
      context.addIssue(messageOf(error));
    }
    return z.NEVER;
  });
}

/** The message for what is no map; keys that nobody knows are named by the configuration itself. */
function named(error: string) {
  return ({ code }: { readonly code?: string }) => (code === 'invalid_type' ? error : undefined);
}

const name = text(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'must be a short word without blanks');
const absolute = text(/^\/[^\0]*$/, 'must be an absolute path');

const rule = z
  .strictObject(
    {
      name,
      when: z.enum(words, { error: `must be one of ${words.join(', ')}` }),
      above: z.number({ error: 'must be a number' }).optional(),
      below: duration(0, MAX_DURATION_MS).optional(),
      for: duration(0, MAX_DURATION_MS).optional(),
      path: absolute.optional(),
      jobs: text(/^[^\0]{1,64}$/, 'must be a name of jobs; * stands for anything').optional(),
      to: z.array(name, { error: 'must be a list of targets' }).max(MAX_TARGETS).default([]),
    },
    { error: named('must be a rule: a map with name, when, and what that takes') },
  )
  .superRefine((value, context) => {
    const { needs, takes, most }: Measured = measures[value.when];
    for (const option of options) {
      const isThere = value[option] !== undefined;
      if (isThere && ![...needs, ...takes].includes(option)) {
        const all = [...needs, ...takes].join(', ');
        context.addIssue({
          code: 'custom',
          path: [option],
          message: `has no meaning with ${value.when}, which takes ${all}`,
        });
      }
      if (!isThere && needs.includes(option)) {
        const message = `${value.when} needs ${option}: the limit beyond which it fires`;
        context.addIssue({ code: 'custom', path: ['when'], message });
      }
    }
    if (value.above !== undefined && most > 0 && !(value.above >= 0 && value.above <= most)) {
      const message = `must be from 0 to ${most}`;
      context.addIssue({ code: 'custom', path: ['above'], message });
    }
  });

const header = text(/^[^\0\r\n]*$/, 'must be text on one line');

const target = z
  .strictObject(
    {
      name,
      webhook: text(/^https?:\/\/[^\s/]+/, 'must be a URL: https://... or http://...')
        .refine((value) => URL.canParse(value), { error: 'must be a URL' })
        .optional(),
      headers: z
        .record(text(/^[A-Za-z0-9-]+$/, 'must be the name of a header'), header, {
          error: 'must be a map of headers',
        })
        .refine((value) => Object.keys(value).length <= MAX_HEADERS, {
          error: `must have at most ${MAX_HEADERS} entries`,
        })
        .optional(),
      ca: absolute.optional(),
      command: z
        .array(text(/^[^\0]*$/, 'must be text'), {
          error: 'must be a list: a program, its arguments',
        })
        .min(1, { error: 'must name a program' })
        .max(MAX_ARGUMENTS, { error: `must have at most ${MAX_ARGUMENTS} entries` })
        .refine(([program = '']) => program.startsWith('/'), {
          error: 'must begin with the absolute path of a program; no shell is asked',
        })
        .optional(),
      user: name.optional(),
      timeout: duration(100, 300_000).optional(),
    },
    { error: named('must be a target: a map with name, and webhook or command') },
  )
  .superRefine(({ webhook, headers, ca, command, user }, context) => {
    const refuse = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message });
    if ((webhook === undefined) === (command === undefined)) {
      refuse('name', 'must have either a webhook or a command');
    }
    if (webhook === undefined && headers !== undefined) refuse('headers', 'goes with a webhook');
    if (webhook === undefined && ca !== undefined) refuse('ca', 'goes with a webhook');
    if (command === undefined && user !== undefined) refuse('user', 'goes with a command');
  });

export type Rule = Readonly<z.infer<typeof rule>>;
export type Target = Readonly<z.infer<typeof target>>;

/** Keys within the lists of the section. */
export const alertKeys: Readonly<Record<string, object>> = {
  rules: rule.shape,
  targets: target.shape,
};

/** Rules as a value of the configuration. */
export const ruleList = {
  schema: z
    .array(rule, { error: 'must be a list of rules' })
    .max(MAX_RULES, { error: `must have at most ${MAX_RULES} entries` }),
  format: (rules: readonly Rule[]) =>
    rules.map(({ below, for: forMs, ...same }) => ({
      ...same,
      ...(below !== undefined && { below: formatDuration(below) }),
      ...(forMs !== undefined && { for: formatDuration(forMs) }),
    })),
};

/** The same of targets; what may be a secret is not shown. */
export const targetList = {
  schema: z
    .array(target, { error: 'must be a list of targets' })
    .max(MAX_TARGETS, { error: `must have at most ${MAX_TARGETS} entries` }),
  format: (targets: readonly Target[]) =>
    targets.map(({ webhook, headers, timeout, ...same }) => ({
      ...same,
      ...(webhook !== undefined && { webhook: `${new URL(webhook).origin}/...` }),
      ...(headers !== undefined && {
        headers: Object.fromEntries(Object.keys(headers).map((word) => [word, '***'])),
      }),
      ...(timeout !== undefined && { timeout: formatDuration(timeout) }),
    })),
};

/** What is wrong between rules and targets, each with its path below the section. */
export function* checkRules(
  rules: readonly Rule[],
  targets: readonly Target[],
): Generator<{ readonly path: readonly (string | number)[]; readonly message: string }> {
  const names = targets.map((each) => each.name);
  for (const [list, all] of Object.entries({
    rules: rules.map((each) => each.name),
    targets: names,
  })) {
    for (const [at, word] of all.entries()) {
      if (all.indexOf(word) === at) continue;
      yield { path: [list, at, 'name'], message: `${word} stands here twice` };
    }
  }
  for (const [at, { to }] of rules.entries()) {
    for (const [place, word] of to.entries()) {
      if (names.includes(word)) continue;
      const all = names.length === 0 ? 'there is none' : `there is ${names.join(', ')}`;
      yield { path: ['rules', at, 'to', place], message: `${word} is no target; ${all}` };
    }
  }
}

/** Whether a job of this name is meant: `*` stands for anything, and nothing said means all jobs. */
export function means(jobs: string | undefined, jobName: string): boolean {
  if (jobs === undefined) return true;
  const parts = jobs.split('*').map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's').test(jobName);
}
