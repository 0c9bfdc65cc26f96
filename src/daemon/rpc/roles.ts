// Who may call what. One row for each method: the weakest role that may call it, and the word for
// the operation that a refusal uses. A method without a row is refused to everybody, and a test
// fails until it has one.

import { JobletError } from '../../shared/errors.ts';
import { type Identity, type Role, roles } from '../jobs/job.ts';

export interface Rule {
  readonly role: Role;
  readonly operation: string;
}

/** What a client certificate's unit (OU) may say, in small letters. */
const roleNames: ReadonlyMap<string, Role> = new Map([
  ['viewer', 'viewer'],
  ['reader', 'viewer'],
  ['developer', 'developer'],
  ['operator', 'operator'],
  ['maintainer', 'operator'],
  ['admin', 'admin'],
]);

/**
 * The role that the units of a certificate give: the weakest of several. Undefined when there is
 * none, or one of them is not a role, since nobody can say how weak that is.
 */
export function roleOf(units: readonly string[]): Role | undefined {
  const found = units.map((unit) => roleNames.get(unit.trim().toLowerCase()));
  if (found.includes(undefined)) return undefined;
  return roles.find((role) => found.includes(role));
}

function rows(
  service: string,
  methods: Readonly<Record<string, readonly [Role, string]>>,
): [string, Rule][] {
  return Object.entries(methods).map(([method, [role, operation]]) => [
    `/${service}/${method}`,
    { role, operation },
  ]);
}

export const rules: ReadonlyMap<string, Rule> = new Map([
  ...rows('joblet.JobService', {
    RunJob: ['developer', 'run_job'],
    UploadFiles: ['developer', 'run_job'],
    ListJobFiles: ['developer', 'get_job_files'],
    GetJobFiles: ['developer', 'get_job_files'],
    PutJobFiles: ['developer', 'run_job'],
    SendJobInput: ['developer', 'run_job'],
    StopJob: ['developer', 'stop_job'],
    CancelJob: ['developer', 'stop_job'],
    ExtendJob: ['developer', 'extend_job'],
    ChangeJobEgress: ['developer', 'run_job'],
    GetJobFlows: ['viewer', 'get_job'],
    DeleteJob: ['developer', 'delete_job'],
    DeleteAllJobs: ['developer', 'delete_job'],
    GetJobStatus: ['viewer', 'get_job'],
    WaitJob: ['viewer', 'get_job'],
    ListJobs: ['viewer', 'list_jobs'],
    QueryJobs: ['viewer', 'list_jobs'],
    GetJobLogs: ['viewer', 'get_job_logs'],
    GetJobMetrics: ['viewer', 'get_metrics'],
    StreamJobMetrics: ['viewer', 'get_metrics'],
    GetJobMetricsSummary: ['viewer', 'get_metrics'],
    StreamJobTelematics: ['viewer', 'get_metrics'],
    GetJobTelematics: ['viewer', 'query_metrics'],
    RunWorkflow: ['developer', 'run_job'],
    GetWorkflowStatus: ['viewer', 'get_job'],
    ListWorkflows: ['viewer', 'list_jobs'],
    GetWorkflowJobs: ['viewer', 'get_job'],
    WatchWorkflow: ['viewer', 'get_job'],
    StopWorkflow: ['developer', 'stop_job'],
    DeleteWorkflow: ['developer', 'delete_job'],
    RetryWorkflow: ['developer', 'run_job'],
  }),
  ...rows('joblet.JobletService', {
    RunJob: ['developer', 'run_job'],
    StopJob: ['developer', 'stop_job'],
    GetJobStatus: ['viewer', 'get_job'],
    ListJobs: ['viewer', 'list_jobs'],
    GetJobLogs: ['viewer', 'get_job_logs'],
  }),
  ...rows('joblet.NetworkService', {
    ListNetworks: ['viewer', 'list_networks'],
    GetNetwork: ['viewer', 'list_networks'],
    CreateNetwork: ['operator', 'create_network'],
    RemoveNetwork: ['admin', 'remove_network'],
  }),
  ...rows('joblet.VolumeService', {
    ListVolumes: ['viewer', 'list_volumes'],
    CreateVolume: ['operator', 'create_volume'],
    InspectVolume: ['viewer', 'list_volumes'],
    ResizeVolume: ['operator', 'create_volume'],
    RemoveVolume: ['admin', 'remove_volume'],
  }),
  ...rows('joblet.MonitoringService', {
    GetSystemStatus: ['viewer', 'get_metrics'],
    StreamSystemMetrics: ['viewer', 'get_metrics'],
    GetServerVersion: ['viewer', 'get_version'],
    ListGpus: ['viewer', 'get_metrics'],
    WatchGpus: ['viewer', 'get_metrics'],
  }),
  ...rows('joblet.RuntimeService', {
    ListRuntimes: ['viewer', 'list_runtimes'],
    GetRuntimeInfo: ['viewer', 'get_runtime_info'],
    TestRuntime: ['developer', 'test_runtime'],
    ValidateRuntimeSpec: ['operator', 'validate_runtime'],
    ValidateRuntimeYAML: ['operator', 'validate_runtime'],
    InstallRuntime: ['operator', 'install_runtime'],
    InstallRuntimeFromGithub: ['operator', 'install_runtime'],
    InstallRuntimeFromLocal: ['operator', 'install_runtime'],
    StreamingInstallRuntimeFromGithub: ['operator', 'install_runtime'],
    StreamingInstallRuntimeFromLocal: ['operator', 'install_runtime'],
    BuildRuntime: ['operator', 'build_runtime'],
    VerifyRuntime: ['developer', 'verify_runtime'],
    PackRuntime: ['developer', 'pack_runtime'],
    // The node asks whatever address it is given, as when it installs from there.
    ListRegistries: ['operator', 'list_registries'],
    RemoveRuntime: ['admin', 'remove_runtime'],
  }),
  ...rows('joblet.persist.PersistService', {
    Ping: ['viewer', 'query_logs'],
    QueryLogs: ['viewer', 'query_logs'],
    QueryMetrics: ['viewer', 'query_metrics'],
    DeleteJob: ['admin', 'delete_job'],
  }),
  ...rows('joblet.ScheduleService', {
    CreateSchedule: ['developer', 'run_job'],
    PauseSchedule: ['developer', 'stop_job'],
    ResumeSchedule: ['developer', 'run_job'],
    DeleteSchedule: ['developer', 'delete_job'],
    ListSchedules: ['viewer', 'list_jobs'],
    GetSchedule: ['viewer', 'get_job'],
  }),
  ...rows('joblet.AlertService', {
    ListAlerts: ['viewer', 'list_alerts'],
    TestAlertTarget: ['operator', 'test_alert'],
  }),
  ...rows('joblet.EventService', {
    WatchEvents: ['viewer', 'watch_events'],
  }),
  ...rows('joblet.AuditService', {
    QueryAudit: ['admin', 'read_audit'],
    FollowAudit: ['admin', 'read_audit'],
    VerifyAudit: ['admin', 'read_audit'],
  }),
  ...rows('grpc.health.v1.Health', {
    Check: ['viewer', 'health'],
    Watch: ['viewer', 'health'],
    List: ['viewer', 'health'],
  }),
  ...rows('grpc.reflection.v1.ServerReflection', {
    ServerReflectionInfo: ['viewer', 'reflection'],
  }),
  ...rows('grpc.reflection.v1alpha.ServerReflection', {
    ServerReflectionInfo: ['viewer', 'reflection'],
  }),
]);

/** What a caller's certificate says about them; `role` is undefined when it gives none. */
export interface Caller {
  readonly name: string;
  readonly role: Role | undefined;
  /** The role as the certificate spells it. */
  readonly units: readonly string[];
}

/** Why a caller may not call a method, or undefined when they may. */
export function refusal(caller: Caller, path: string): JobletError | undefined {
  const rule = rules.get(path);
  if (rule === undefined) {
    return new JobletError('denied', `nobody is allowed to call ${path}: it has no role`);
  }
  if (caller.role === undefined) {
    const said =
      caller.units.length === 0 ? 'has no role (OU)' : `says ${caller.units.join(' and ')} (OU)`;
    return new JobletError(
      'denied',
      `role unknown is not allowed to perform operation ${rule.operation}: the certificate of ` +
        `${caller.name} ${said}; the roles are ${roles.join(', ')}`,
    );
  }
  if (rankOf(caller.role) >= rankOf(rule.role)) return undefined;
  return new JobletError(
    'denied',
    `role ${caller.role} is not allowed to perform operation ${rule.operation}`,
  );
}

/**
 * Demands more of a caller than the method itself does, for one thing that it may be asked for.
 * @throws JobletError denied
 */
export function demand({ role }: Identity, rule: Rule): void {
  if (rankOf(role) >= rankOf(rule.role)) return;
  throw new JobletError(
    'denied',
    `role ${role} is not allowed to perform operation ${rule.operation}: it takes the role ${rule.role}`,
  );
}

/** The identity of a caller who was let in. */
export function identityOf(caller: Caller, certificate: string, peer: string): Identity {
  return { name: caller.name, role: caller.role ?? 'viewer', certificate, peer };
}

function rankOf(role: Role): number {
  return roles.indexOf(role);
}
