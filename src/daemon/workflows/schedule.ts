// A recurring schedule, and what became of each of its ticks.

import type { Identity } from '../jobs/job.ts';
import type { CatchUp, Overlap } from './ticks.ts';
import type { WorkflowPlan } from './workflow.ts';

/** What somebody wishes to be run again and again. */
export interface ScheduleWish {
  readonly name: string;
  readonly cron: string;
  readonly timeZone: string;
  readonly overlap: Overlap;
  readonly catchUp: CatchUp;
  /** Its starts are spread over so long. */
  readonly jitterMs: number;
  /** Runs that are kept; older ones are deleted with their jobs. */
  readonly keep: number;
  /** A line for people: the command, or the name of the workflow. */
  readonly what: string;
  readonly plan: WorkflowPlan;
}

export interface Schedule extends Omit<ScheduleWish, 'plan'> {
  /** UUID version 4; the name may be used again when it is deleted. */
  readonly id: string;
  readonly owner: Identity;
  readonly isPaused: boolean;
  readonly createdAtMs: number;
  /** The first tick that has not been dealt with; 0 is none. */
  readonly nextAtMs: number;
}

export const tickStates = ['WAITING', 'STARTED', 'SKIPPED', 'FAILED'] as const;
export type TickState = (typeof tickStates)[number];

/** A tick that was due. */
export interface TickRun {
  readonly tickMs: number;
  /** The workflow that it starts, or would have. */
  readonly workflowId: string;
  readonly state: TickState;
  /** Why, where that needs words. */
  readonly message: string;
  /** When it came to that. */
  readonly atMs: number;
}
