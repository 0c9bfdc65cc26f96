// The services of the API.

import type { DescService } from '@bufbuild/protobuf';
import { AlertService } from '../../gen/joblet/alerts_pb.ts';
import { AuditService } from '../../gen/joblet/audit_pb.ts';
import { EventService } from '../../gen/joblet/events_pb.ts';
import { JobService } from '../../gen/joblet/jobs_pb.ts';
import { JobletService } from '../../gen/joblet/legacy_pb.ts';
import { MonitoringService } from '../../gen/joblet/monitoring_pb.ts';
import { NetworkService } from '../../gen/joblet/networks_pb.ts';
import { PersistService } from '../../gen/joblet/persist/persist_pb.ts';
import { RuntimeService } from '../../gen/joblet/runtimes_pb.ts';
import { ScheduleService } from '../../gen/joblet/schedules_pb.ts';
import { VolumeService } from '../../gen/joblet/volumes_pb.ts';

export const services: readonly DescService[] = [
  JobService,
  JobletService,
  NetworkService,
  VolumeService,
  MonitoringService,
  RuntimeService,
  PersistService,
  AuditService,
  AlertService,
  EventService,
  ScheduleService,
];
