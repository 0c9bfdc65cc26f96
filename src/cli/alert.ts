// rnx alert: what is wrong on a node by its rules, and whether those are told who should be.

import type { AlertView } from '../client/alert-messages.ts';
import { listAlerts, testAlertTarget } from '../client/methods.ts';
import { command } from './command.ts';
import { jsonText, localTime, table, visible } from './print.ts';

const DEADLINE_MS = 30_000;
/** The longest that a target may take is five minutes. */
const TEST_DEADLINE_MS = 310_000;
const LAST_COLUMNS = 200;

export const alertList = command({
  usage: 'rnx alert list [flags]',
  summary: 'Shows the alerts that fire, the newest first.',
  notes: ['The rules are in the configuration of the node: alerts.rules.'],
  examples: ['rnx alert list', 'rnx alert list --all --json'],
  flags: {
    all: { kind: 'switch', help: 'those that are over too' },
    limit: { kind: 'integer', value: 'N', help: 'the newest N (100 unless said)' },
  },
  words: [0, 0],
  run: async ({ all, limit }, _words, session) => {
    const { out, json } = session;
    const connection = await session.connect();
    const deadlineMs = session.deadlineMs(DEADLINE_MS);
    const { alerts, rules } = await connection.unary(listAlerts, { all, limit }, { deadlineMs });
    if (json) await out.write(jsonText(alerts.map(alertJson)));
    else if (alerts.length > 0) await out.write(alertTable(alerts, out.columns ?? 0));
    else await out.write(rules > 0 ? `no alert, of ${rules} rules\n` : NO_RULES);
    return 0;
  },
});

const NO_RULES = 'no alert: the node has no rules (alerts.rules in its configuration)\n';

export const alertTest = command({
  usage: 'rnx alert test TARGET',
  summary: 'Tells a target of alerts that nothing is wrong, to see whether it hears.',
  examples: ['rnx alert test ops'],
  flags: {},
  words: [1, 1],
  missing: 'which target? Say its name, as in alerts.targets of the configuration',
  run: async (_values, [target = ''], session) => {
    const connection = await session.connect();
    const deadlineMs = session.deadlineMs(TEST_DEADLINE_MS);
    await connection.unary(testAlertTarget, { target }, { deadlineMs });
    const { out, json } = session;
    await out.write(json ? jsonText({ target, told: true }) : `${visible(target)} was told\n`);
    return 0;
  },
});

/** Alerts for people. */
export function alertTable(alerts: readonly AlertView[], columns: number): string {
  const titles = ['SINCE', 'STATUS', 'RULE', 'TOLD', 'WHY'];
  const rows = alerts.map((alert) => [
    localTime(alert.firedTime),
    alert.status,
    visible(alert.rule),
    toldOf(alert),
    visible(alert.message),
  ]);
  const widths = titles.map((title) => ({ title, width: 0 }));
  return table(widths, rows, columns, LAST_COLUMNS);
}

/** Who was told, and who was not. */
function toldOf({ notices }: AlertView): string {
  const words = notices.map(({ target, turn, status }) => {
    const what = turn === 'resolved' ? ' of its end' : '';
    return status === 'SENT'
      ? `${target}${what}`
      : `${target}${what} (${outcomes[status] ?? status})`;
  });
  return visible(words.join(', ')) || '-';
}

const outcomes: Readonly<Record<string, string>> = { WAITING: 'not yet', GIVEN_UP: 'given up' };

function alertJson({ jobUuid, firedTime, resolvedTime, ...same }: AlertView): object {
  return { ...same, job_uuid: jobUuid, fired_time: firedTime, resolved_time: resolvedTime };
}
