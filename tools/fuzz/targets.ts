// Every reader of untrusted bytes in TypeScript. Coverage of `sources` guides the search, so they are
// named here, where nothing of them has been loaded yet.

import type { Target } from './target.ts';

interface Row {
  /** Paths in the repository. */
  readonly sources: readonly string[];
  readonly load: () => Promise<{ readonly default: Target }>;
}

export const targets: Readonly<Record<string, Row>> = {
  archive: {
    sources: [
      'src/shared/xml.ts',
      'src/daemon/archive/s3-answers.ts',
      'src/daemon/archive/credentials.ts',
    ],
    load: () => import('./targets/archive.ts'),
  },
  'audit-chain': {
    sources: ['src/daemon/audit/chain.ts'],
    load: () => import('./targets/audit-chain.ts'),
  },
  backup: {
    sources: ['src/daemon/store/backup.ts', 'src/daemon/store/faults.ts'],
    load: () => import('./targets/backup.ts'),
  },
  'build-answers': {
    sources: [
      'src/daemon/builder/lines.ts',
      'src/daemon/builder/outcome.ts',
      'src/shared/build-lock.ts',
      'src/shared/build-phases.ts',
    ],
    load: () => import('./targets/build-answers.ts'),
  },
  'build-spec': {
    sources: ['src/shared/build-spec.ts', 'src/shared/build-grammar.ts'],
    load: () => import('./targets/build-spec.ts'),
  },
  cloud: {
    sources: ['src/daemon/telemetry/cloud.ts'],
    load: () => import('./targets/cloud.ts'),
  },
  'command-line': {
    sources: ['src/cli/command.ts', 'src/cli/interpret.ts', 'src/cli/job-run.ts'],
    load: () => import('./targets/command-line.ts'),
  },
  config: {
    sources: ['src/daemon/config.ts', 'src/shared/yaml-text.ts', 'src/daemon/config-keys.ts'],
    load: () => import('./targets/config.ts'),
  },
  cron: {
    sources: ['src/daemon/workflows/ticks.ts'],
    load: () => import('./targets/cron.ts'),
  },
  elf: {
    sources: ['src/builder/elf.ts', 'src/builder/keystore.ts'],
    load: () => import('./targets/elf.ts'),
  },
  egress: {
    sources: ['src/shared/egress.ts', 'src/shared/cidr.ts'],
    load: () => import('./targets/egress.ts'),
  },
  dns: {
    sources: ['src/daemon/networks/dns-message.ts'],
    load: () => import('./targets/dns.ts'),
  },
  'end-record': {
    sources: ['src/daemon/linux/end-record.ts', 'src/daemon/jobs/outcome.ts'],
    load: () => import('./targets/end-record.ts'),
  },
  'fetched-files': {
    sources: ['src/cli/job-files.ts'],
    load: () => import('./targets/fetched-files.ts'),
  },
  flows: {
    sources: ['src/daemon/linux/flow-source.ts', 'src/daemon/networks/flow-file.ts'],
    load: () => import('./targets/flows.ts'),
  },
  frames: {
    sources: ['src/daemon/linux/frames.ts'],
    load: () => import('./targets/frames.ts'),
  },
  framing: {
    sources: ['src/client/framing.ts', 'src/client/status.ts'],
    load: () => import('./targets/framing.ts'),
  },
  grpc: {
    sources: [
      'src/daemon/rpc/admitted-call.ts',
      'src/daemon/rpc/body-budget.ts',
      'src/daemon/rpc/connections.ts',
      'src/daemon/rpc/errors.ts',
      'src/daemon/rpc/handlers.ts',
    ],
    load: () => import('./targets/grpc.ts'),
  },
  identity: {
    sources: [
      'src/daemon/credentials.ts',
      'src/daemon/rpc/admission.ts',
      'src/daemon/rpc/roles.ts',
    ],
    load: () => import('./targets/identity.ts'),
  },
  'job-files': {
    sources: ['src/daemon/linux/job-files.ts'],
    load: () => import('./targets/job-files.ts'),
  },
  'job-request': {
    sources: [
      'src/daemon/rpc/job-spec.ts',
      'src/daemon/rpc/field-count.ts',
      'src/daemon/jobs/plan.ts',
    ],
    load: () => import('./targets/job-request.ts'),
  },
  inspection: {
    sources: ['src/daemon/doctor/inspection.ts'],
    load: () => import('./targets/inspection.ts'),
  },
  'kernel-texts': {
    sources: [
      'src/daemon/linux/job-usage.ts',
      'src/daemon/linux/cgroup.ts',
      'src/daemon/linux/job-process.ts',
    ],
    load: () => import('./targets/kernel-texts.ts'),
  },
  keeper: {
    sources: ['src/daemon/linux/keeper.ts', 'src/daemon/linux/frames.ts'],
    load: () => import('./targets/keeper.ts'),
  },
  'log-record': {
    sources: ['src/shared/log-record.ts'],
    load: () => import('./targets/log-record.ts'),
  },
  'log-search': {
    sources: [
      'src/daemon/jobs/log-search.ts',
      'src/daemon/jobs/fixed-word.ts',
      'src/daemon/jobs/line-automaton.ts',
      'src/daemon/jobs/line-finder.ts',
      'src/daemon/jobs/line-splitter.ts',
    ],
    load: () => import('./targets/log-search.ts'),
  },
  'log-segments': {
    sources: ['src/daemon/jobs/logs.ts', 'src/daemon/rpc/log-chunks.ts'],
    load: () => import('./targets/log-segments.ts'),
  },
  manifest: {
    sources: ['src/daemon/runtimes/manifest.ts', 'src/daemon/runtimes/signature.ts'],
    load: () => import('./targets/manifest.ts'),
  },
  names: {
    sources: ['src/shared/names.ts', 'src/shared/upload-path.ts', 'src/shared/nearest.ts'],
    load: () => import('./targets/names.ts'),
  },
  'nodes-file': {
    sources: ['src/client/nodes-file.ts', 'src/client/plain-yaml.ts'],
    load: () => import('./targets/nodes-file.ts'),
  },
  'nvidia-smi': {
    sources: ['src/daemon/linux/nvidia-smi.ts', 'src/shared/xml.ts', 'src/daemon/linux/xid-log.ts'],
    load: () => import('./targets/nvidia-smi.ts'),
  },
  outputs: {
    sources: ['src/daemon/workflows/output-file.ts'],
    load: () => import('./targets/outputs.ts'),
  },
  pack: {
    sources: [
      'src/daemon/runtimes/manifest-guard.ts',
      'src/daemon/runtimes/tree-writer.ts',
      'src/daemon/runtimes/archive.ts',
      'src/daemon/runtimes/unpack.ts',
    ],
    load: () => import('./targets/pack.ts'),
  },
  publish: {
    sources: ['src/shared/publish.ts'],
    load: () => import('./targets/publish.ts'),
  },
  queries: {
    sources: ['src/daemon/rpc/jobs.ts', 'src/daemon/rpc/audit.ts'],
    load: () => import('./targets/queries.ts'),
  },
  'registry-index': {
    sources: ['src/daemon/runtimes/registry-index.ts', 'src/daemon/runtimes/fetch.ts'],
    load: () => import('./targets/registry-index.ts'),
  },
  'runtime-file': {
    sources: ['src/shared/runtime-file.ts', 'src/shared/runtime-names.ts'],
    load: () => import('./targets/runtime-file.ts'),
  },
  samples: {
    sources: ['src/daemon/telemetry/sample-file.ts', 'src/daemon/telemetry/series.ts'],
    load: () => import('./targets/samples.ts'),
  },
  'sealed-segment': {
    sources: [
      'src/daemon/logs/sealed-index.ts',
      'src/daemon/logs/segment-file.ts',
      'src/daemon/logs/records.ts',
    ],
    load: () => import('./targets/sealed-segment.ts'),
  },
  tar: {
    sources: ['src/daemon/runtimes/tar-reader.ts', 'src/shared/tar-writer.ts'],
    load: () => import('./targets/tar.ts'),
  },
  terminal: {
    sources: ['src/cli/terminal-text.ts', 'src/cli/print.ts', 'src/cli/log-printer.ts'],
    load: () => import('./targets/terminal.ts'),
  },
  times: {
    sources: ['src/cli/schedule.ts', 'src/daemon/rpc/job-spec.ts'],
    load: () => import('./targets/times.ts'),
  },
  units: {
    sources: ['src/shared/units.ts'],
    load: () => import('./targets/units.ts'),
  },
  uploads: {
    sources: ['src/daemon/jobs/uploads.ts', 'src/shared/upload-path.ts'],
    load: () => import('./targets/uploads.ts'),
  },
  'volume-mount': {
    sources: ['src/shared/volume-mount.ts'],
    load: () => import('./targets/volume-mount.ts'),
  },
  wal: {
    sources: ['src/daemon/store/wal.ts'],
    load: () => import('./targets/wal.ts'),
  },
  workflow: {
    sources: [
      'src/shared/workflow-condition.ts',
      'src/shared/workflow-expression.ts',
      'src/shared/workflow-file.ts',
      'src/shared/workflow-job-reader.ts',
      'src/shared/workflow-matrix.ts',
      'src/shared/workflow-outputs.ts',
      'src/shared/workflow-params.ts',
      'src/shared/workflow-plans.ts',
      'src/shared/workflow-reader.ts',
      'src/shared/workflow-template.ts',
      'src/shared/workflow-variables.ts',
    ],
    load: () => import('./targets/workflow.ts'),
  },
  web: {
    sources: [
      'src/daemon/rpc/log-words.ts',
      'src/daemon/telemetry/exposition.ts',
      'src/daemon/web/log-events.ts',
      'src/daemon/web/routes.ts',
    ],
    load: () => import('./targets/web.ts'),
  },
  wire: {
    sources: ['src/client/wire.ts', 'src/client/messages.ts'],
    load: () => import('./targets/wire.ts'),
  },
};
