// What is told of an installation, wherever the runtime comes from.

import type { Identity } from '../jobs/job.ts';
import type { Installed, Step } from '../runtimes/installs.ts';
import { type RuntimeAudit, recordInstall } from '../runtimes/record.ts';
import type { Runtimes } from '../runtimes/runtimes.ts';
import { stepsOf } from './steps.ts';

export type News =
  | {
      readonly kind: 'step';
      readonly message: string;
      readonly step: number;
      readonly totalSteps: number;
      readonly done: number;
      readonly total: number;
    }
  | { readonly kind: 'log'; readonly line: string };

/** A runtime that has come. */
export interface Arrival {
  /** A sentence for people. */
  readonly message: string;
  /** `name@version`. */
  readonly runtime: string;
  readonly directory: string;
  readonly bytes: number;
  readonly newBytes: number;
  /** The job that built it; empty when none did. */
  readonly jobId: string;
}

export interface ArrivalParts {
  readonly runtimes: Pick<Runtimes, 'forgetGone'>;
  readonly audit: RuntimeAudit;
}

/** Follows the steps of the installation of what was asked for to its end, which is recorded. */
export async function* tellInstallation(
  { runtimes, audit }: ArrivalParts,
  asked: string,
  work: (report: (step: Step) => void) => Promise<Installed>,
  totalSteps: number,
  who: Identity,
): AsyncGenerator<News, Arrival> {
  const steps = stepsOf((report: (step: Step) => void) =>
    recordInstall(audit, asked, who, () => work(report)),
  );
  for (;;) {
    const next = await steps.next();
    if (next.done === true) {
      const { runtime, directory, bytes, newBytes, replaced } = next.value;
      runtimes.forgetGone();
      const message = replaced
        ? `Runtime ${runtime} took the place of the one that was there`
        : `Runtime ${runtime} installed`;
      return { message, runtime, directory, bytes, newBytes, jobId: '' };
    }
    const { number: step, ...same } = next.value;
    yield { kind: 'step', step, totalSteps, ...same };
  }
}
