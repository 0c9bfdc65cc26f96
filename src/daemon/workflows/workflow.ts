// A workflow: what was asked for (WorkflowPlan) and what became of it (Workflow with its Steps).

import { hasEnded, type StepStatus } from '../../shared/step-status.ts';
import type { Condition, Expression } from '../../shared/workflow-expression.ts';
import type { Concurrency, Retry } from '../../shared/workflow-job.ts';
import type { LateTexts } from '../../shared/workflow-outputs.ts';
import type { Identity, JobSpec } from '../jobs/job.ts';

export const workflowStatuses = [
  'PENDING',
  'RUNNING',
  'COMPLETED',
  'FAILED',
  'CANCELED',
  'STOPPED',
] as const;

export type WorkflowStatus = (typeof workflowStatuses)[number];

/** Whether a workflow in this status goes on only when somebody asks for it. */
export function isOver(status: WorkflowStatus): boolean {
  return status !== 'PENDING' && status !== 'RUNNING';
}

/** A job that is to be run: complete and checked, its files aside. */
export interface StepPlan {
  readonly name: string;
  readonly spec: Omit<JobSpec, 'uploads'>;
  readonly requires: Expression;
  /** What has to hold besides when it could start; otherwise it is skipped. */
  readonly condition?: Condition;
  /** Names of the values that it says; steps of earlier versions say none. */
  readonly outputs?: readonly string[];
  /** Texts that outputs of others are put into before it starts. */
  readonly late?: LateTexts;
  readonly retry: Retry;
  /** Time between its chance to start and its start. */
  readonly delayMs: number;
  /** What it takes of the workflow's files, by their names there. */
  readonly files: readonly string[];
  readonly directories: readonly string[];
  /** The innermost call that it is part of, by its number; none where the run itself is. */
  readonly call?: number;
}

export function hasOutputs({ outputs = [] }: StepPlan): boolean {
  return outputs.length > 0;
}

/** What a run asks for as a whole. */
export interface RunOptions {
  readonly concurrency?: Concurrency;
  /** A volume that its jobs share; of 0 bytes is as big as volumes usually are. */
  readonly workspace?: { readonly bytes: number };
}

/** What a workflow asks for that is run as a job of another one. */
export interface Call extends RunOptions {
  /** The name of that job. */
  readonly name: string;
  /** The call that it is part of, by its number. */
  readonly around?: number;
  readonly maxParallel: number;
}

export interface WorkflowOptions extends RunOptions {
  /** By their numbers, each behind the one that it is part of; earlier versions wrote none. */
  readonly calls?: readonly Call[];
}

export interface WorkflowPlan extends WorkflowOptions {
  readonly name: string;
  /** As it was sent. */
  readonly text: string;
  /** The same to be shown, without the values of secrets. */
  readonly shownText: string;
  readonly maxParallel: number;
  readonly steps: readonly StepPlan[];
}

/** What became of a step. */
export interface StepState {
  /** The status of its last job; PENDING before there is one. */
  readonly status: StepStatus;
  /** Its requirements are met: it is started as soon as that is possible. */
  readonly isReady: boolean;
  /** Not before this; 0 is at once. */
  readonly notBeforeMs: number;
  /** Its job; empty when it has none yet, or will have another one. */
  readonly jobId: string;
  /** Jobs that it has had. */
  readonly attempts: number;
  /** Those of them that it had had when its workflow was last taken up again by hand. */
  readonly attemptsBefore: number;
  /** Its command has run. */
  readonly hasRun: boolean;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly exitCode: number;
  /** Why it ended as it did, where that needs words. */
  readonly message: string;
  /** What it has said for those that follow. */
  readonly outputs: Readonly<Record<string, string>>;
}

/** Whether a step is ready, or has a job that has not ended. */
export function isUnderWay({ isReady, status }: StepState): boolean {
  return isReady && !hasEnded(status);
}

/** Whether a step is ready, and has no job. */
export function waitsForJob(step: StepState): boolean {
  return isUnderWay(step) && step.jobId === '';
}

export interface Step extends StepState {
  /** Its place in the file, from 0. */
  readonly number: number;
  readonly plan: StepPlan;
}

/** How an end was asked for: the jobs that run are stopped too, or only nothing more is started. */
export type Ending = '' | 'stop' | 'cancel';

/** A call that waits for its turn in a concurrency group, has it, or is ended because another one came. */
export interface Turn {
  readonly call: number;
  readonly state: 'waits' | 'has' | 'ends';
  /** When it asked for it. */
  readonly sinceMs: number;
}

export interface Workflow {
  /** UUID version 4. */
  readonly id: string;
  readonly name: string;
  readonly shownText: string;
  readonly maxParallel: number;
  readonly options: WorkflowOptions;
  /** It starts when those of its group that came before are over. */
  readonly waits: boolean;
  /** Of its calls that wait for others, or others for them. */
  readonly turns: readonly Turn[];
  /** Who asked for it; its jobs are theirs. */
  readonly owner: Identity;
  readonly status: WorkflowStatus;
  readonly ending: Ending;
  /** Who asked for its end; empty is nobody. */
  readonly endedBy: string;
  readonly createdAtMs: number;
  /** 0 is not yet. */
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  /** Jobs by what became of them; those stopped are among the failed. */
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
  readonly canceled: number;
  readonly skipped: number;
}
