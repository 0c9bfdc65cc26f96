// A job: what was asked for (JobSpec) and what became of it (Job).
// RunJobRequest -> JobSpec happens in rpc, JobSpec -> launch plan in plan.ts.

import type { Egress } from '../../shared/egress.ts';
import type { JobStatus, Outcome } from '../../shared/job-state.ts';
import type { VolumeMount } from '../../shared/volume-mount.ts';
import type { GpuWish } from '../gpus/gpu.ts';
import type { CgroupLimits } from '../linux/cgroup.ts';
import type { HeldRoot } from '../runtimes/runtimes.ts';

/** One file or folder sent along with a request. */
export interface Upload {
  /** Relative to the work directory, checked: no `..`, not absolute, no empty parts. */
  readonly path: string;
  readonly content: Uint8Array;
  /** Permission bits only (0o000 to 0o777); 0 means the default of 0o644 or 0o755. */
  readonly mode: number;
  readonly isDirectory: boolean;
}

/** Doors of the sandbox that a job may ask to have opened; shown in its status. */
export const openings = ['ptrace', 'userns'] as const;
export type Opening = (typeof openings)[number];

/**
 * What a job of the builder has instead of the usual sandbox. No request can ask for it: the builder
 * alone makes such jobs.
 */
export interface BuildSandbox {
  readonly root: HeldRoot;
  /** Further mount operations, and the writable places that come of them. */
  readonly mounts: readonly string[];
  readonly writable: readonly { readonly path: string; readonly bytes: number }[];
  /** It reaches the host's network, and keeps what installing packages takes. */
  readonly installs: boolean;
}

/** What whoever installs packages may do with the files and processes of its own ids. */
export const buildCapabilities = [
  'chown',
  'dac-override',
  'fowner',
  'fsetid',
  'kill',
  'setgid',
  'setuid',
  'sys-chroot',
] as const;

export interface Limits extends CgroupLimits {
  /** Size of the work directory; 0 is the default, which grows with what was uploaded. */
  readonly workBytes: number;
}

/** A complete, checked wish: defaults are filled in, every value is within its bounds. */
export interface JobSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly limits: Limits;
  /** Files within the request. */
  readonly uploads: readonly Upload[];
  /** Files sent before by the streaming call; empty is none. */
  readonly uploadId: string;
  /** Milliseconds since 1970; 0 is now. */
  readonly startAtMs: number;
  /** Where it stands among those that wait for their turn; see queue.ts. */
  readonly priority: number;
  readonly network: string;
  readonly volumes: readonly VolumeMount[];
  /** What it may send, and receive, each; 0 is what its network lets it. */
  readonly bandwidthBytesPerSecond: number;
  /** What it may send over its network, besides what the network says. */
  readonly egress: Egress;
  /** Ports of the host that lead into it, each as its whole text. */
  readonly publish: readonly string[];
  readonly runtime: string;
  /** Absolute path inside the sandbox where the command starts. */
  readonly workDir: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly secretEnvironment: Readonly<Record<string, string>>;
  /** 0 is no timeout. Counts from the start request. */
  readonly timeoutMs: number;
  /** Time between SIGTERM and SIGKILL. */
  readonly graceMs: number;
  /** How long its work directory is kept when it has ended; 0 is not at all. */
  readonly keepWorkMs: number;
  /** While the disk of logs is full it waits at its next output; else that is dropped. */
  readonly logOverflow?: 'block';
  /** Standard input is fed by SendJobInput; else it is /dev/null. */
  readonly stdin: boolean;
  /** A tiny init is process 1; false makes the command process 1. */
  readonly init: boolean;
  readonly allow: readonly Opening[];
  /** Set for a job that wants some. */
  readonly gpus?: GpuWish;
  readonly workflowUuid: string;
  /** Set for the builder's own jobs. */
  readonly build?: BuildSandbox;
}

/** A wish for nothing in particular, on no network; what makes such jobs names what it wants. */
export const plainSpec: JobSpec = {
  name: '',
  command: '',
  args: [],
  limits: { cpuPercent: 0, memoryBytes: 0, ioBps: 0, cpuCores: '', processes: 0, workBytes: 0 },
  uploads: [],
  uploadId: '',
  startAtMs: 0,
  priority: 0,
  network: 'none',
  bandwidthBytesPerSecond: 0,
  egress: { closed: false, allow: [], deny: [] },
  publish: [],
  volumes: [],
  runtime: '',
  workDir: '/work',
  environment: {},
  secretEnvironment: {},
  timeoutMs: 0,
  graceMs: 0,
  keepWorkMs: 0,
  stdin: false,
  init: true,
  allow: [],
  workflowUuid: '',
};

/**
 * A JobSpec as it is kept: file contents have gone to the work directory, and only names stay. Every
 * list of jobs reads them, so they are the first ones of `uploadCount`.
 */
export type StoredSpec = Omit<JobSpec, 'uploads'> & {
  readonly uploads: readonly string[];
  readonly uploadCount: number;
};

/** A caller's own name for a job, so that asking for it again does not make another one. */
export interface JobKey {
  readonly text: string;
  /** What was asked for: a digest for each field of the request, by its name. */
  readonly digests: Readonly<Record<string, string>>;
}

/** What the kernel counted, read at the end. */
export interface Usage {
  readonly cpuUsec: number;
  readonly memoryPeakBytes: number;
  /** Traffic with disks; absent in the records of older versions. */
  readonly readBytes?: number;
  readonly writtenBytes?: number;
}

/** How long a job may take. */
export interface Timeout {
  /** From the request to start. */
  readonly ms: number;
  /** When that time is over. */
  readonly atMs: number;
}

export interface Job {
  /** UUID version 4. */
  readonly id: string;
  readonly spec: StoredSpec;
  readonly status: JobStatus;
  readonly createdAtMs: number;
  /** Since when it has had its place among those that wait; 0 is never. */
  readonly queuedAtMs: number;
  /** When the command was exec'd; 0 is not yet. */
  readonly startedAtMs: number;
  /** 0 is not yet. */
  readonly endedAtMs: number;
  /** Undefined as long as its start has not been requested, and when it has none. */
  readonly timeout: Timeout | undefined;
  /** Who asked first for its end, while it ran; empty is nobody. */
  readonly stoppedBy: string;
  readonly outcome: Outcome | undefined;
  readonly usage: Usage | undefined;
  /** Bytes of output kept, and bytes that were dropped (each drop is marked in the log). */
  readonly logBytes: number;
  readonly logDroppedBytes: number;
}

/** Who asked. Comes from the client's certificate and connection. */
export interface Identity {
  readonly name: string;
  readonly role: Role;
  /** Serial number, capital hexadecimal digits. */
  readonly certificate: string;
  /** `address:port` */
  readonly peer: string;
}

export const roles = ['viewer', 'developer', 'operator', 'admin'] as const;
/** From the weakest to the strongest. */
export type Role = (typeof roles)[number];
