// The texts of a job that wait for outputs of others, once these are known.

import { JobletError } from '../../shared/errors.ts';
import { fillLate, type LateText, type OutputRef } from '../../shared/workflow-outputs.ts';
import type { StepPlan } from './workflow.ts';

/**
 * What a step runs, with outputs put in; `find` answers one that was said.
 * @throws JobletError wrong-state when one was not said and has no default
 */
export function specWithOutputs(
  { spec, late }: StepPlan,
  find: (job: string, name: string) => string | undefined,
): StepPlan['spec'] {
  if (late === undefined) return spec;
  const chosen = ({ job, name, fallback }: OutputRef) => {
    // As in a shell: an empty value counts as none where there is a default.
    const value = find(job, name) || (fallback ?? find(job, name));
    if (value !== undefined) return value;
    throw new JobletError(
      'wrong-state',
      `it needs the output ${name} of job '${job}', which did not say it; \${outputs.${job}.${name}:-TEXT} would do without`,
    );
  };
  const variables = new Map(Object.entries(late.environment));
  const fill = (texts: Readonly<Record<string, string>>) =>
    Object.fromEntries(
      Object.entries(texts).map(([name, text]) => [name, filled(variables.get(name), text)]),
    );
  const filled = (text: LateText | undefined, written: string) =>
    text === undefined ? written : fillLate(text, chosen);
  return {
    ...spec,
    args: spec.args.map((text, at) => filled(late.args[at], text)),
    environment: fill(spec.environment),
    secretEnvironment: fill(spec.secretEnvironment),
  };
}
