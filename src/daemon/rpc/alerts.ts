// AlertService: alerts as clients see them.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { AlertSchema, AlertService } from '../../gen/joblet/alerts_pb.ts';
import { invalid } from '../../shared/errors.ts';
import type { AlertStory, Alerts } from '../alerts/alerts.ts';
import type { Handlers } from './handlers.ts';
import { rfc3339 } from './rfc3339.ts';

const MAX_ALERTS = 1000;
const DEFAULT_ALERTS = 100;

export interface AlertParts {
  readonly alerts: Pick<Alerts, 'list' | 'test'>;
  /** How many rules there are. */
  readonly ruleCount: number;
}

export function alertHandlers({ alerts, ruleCount }: AlertParts): Handlers<typeof AlertService> {
  return {
    listAlerts: async ({ all, limit }) => {
      if (limit < 0 || limit > MAX_ALERTS) {
        const message = `is from 1 to ${MAX_ALERTS}; 0 takes ${DEFAULT_ALERTS}`;
        throw invalid([{ field: 'limit', message }]);
      }
      const stories = alerts.list(all, limit || DEFAULT_ALERTS);
      return { alerts: stories.map(toMessage), rules: ruleCount };
    },

    testAlertTarget: async ({ target }) => {
      await alerts.test(target);
      return {};
    },
  };
}

function toMessage({ alert, notices }: AlertStory): MessageInitShape<typeof AlertSchema> {
  const { id, rule, subject, jobId, reading, firedAtMs, resolvedAtMs, resolution } = alert;
  return {
    id,
    rule,
    subject,
    jobUuid: jobId,
    status: resolvedAtMs === 0 ? 'FIRING' : 'RESOLVED',
    message: reading,
    firedTime: rfc3339(firedAtMs),
    resolvedTime: rfc3339(resolvedAtMs),
    resolution,
    notices: notices.map(({ target, turn, status, tries, problem }) => ({
      target,
      turn,
      status,
      tries,
      problem,
    })),
  };
}
