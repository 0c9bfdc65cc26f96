// Workflows and schedules of a node as its configuration has them.

import path from 'node:path';
import type { Audit } from '../audit/audit.ts';
import type { Config } from '../config.ts';
import type { Uploads } from '../jobs/uploads.ts';
import type { Volumes } from '../volumes/volumes.ts';
import { WorkflowFiles } from './files.ts';
import { RunVolumes } from './run-volumes.ts';
import { Schedules } from './schedules.ts';
import { Workflows, type WorkflowsParts } from './workflows.ts';

interface Parts extends Pick<WorkflowsParts, 'db' | 'jobs' | 'clock' | 'log'> {
  readonly audit: Audit;
  readonly uploads: Uploads;
  readonly volumes: Volumes;
}

/** Nothing of them starts before they are recovered. */
export function openWorkflows(config: Config, parts: Parts) {
  const { db, audit, jobs, uploads, volumes, clock, log } = parts;
  const files = new WorkflowFiles(uploads, path.join(config.uploads.directory, 'workflows'));
  const workspaceBytes = config.volumes.defaultBytes;
  const workflows = new Workflows({
    db,
    audit,
    jobs,
    files,
    volumes: new RunVolumes({ volumes, workspaceBytes, clock, log }),
    clock,
    log,
  });
  const schedules = new Schedules({ db, audit, workflows, files, clock, log });
  return { workflows, schedules };
}
