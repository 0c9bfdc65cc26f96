// What jobs may send, on the command line: flags for jobs and networks, and rnx job network.

import type { EgressDetail } from '../client/messages.ts';
import { changeJobEgress, getJobStatus } from '../client/methods.ts';
import { JobletError } from '../shared/errors.ts';
import { command, type Flags, type Values } from './command.ts';
import { jsonText, visible } from './print.ts';
import type { Session } from './session.ts';

const DEADLINE_MS = 10_000;

/** In the place of a rule: nothing at all. */
const NOTHING = 'nothing';

export const egressFlags = {
  'net-allow': { kind: 'list', value: 'RULE', help: 'send only this: *.example.org:443, nothing' },
  'net-deny': { kind: 'list', value: 'RULE', help: 'never send this: 192.0.2.0/24, udp:*:53' },
} as const satisfies Flags;

/** What the flags say; undefined is everything. */
export function toEgress(values: Values<typeof egressFlags>) {
  const { 'net-allow': allowed, 'net-deny': deny } = values;
  if (allowed.length === 0 && deny.length === 0) return undefined;
  const allow = allowed.filter((rule) => rule !== NOTHING);
  return { closed: allowed.length > 0, allow, deny };
}

export function egressLines(egress: EgressDetail | undefined): string[] {
  if (egress === undefined || (!egress.closed && egress.deny.length === 0)) return [];
  const allowed = egress.allow.map(visible).join(', ') || NOTHING;
  return [
    ...(egress.closed ? [`Sends only: ${allowed}`] : []),
    ...(egress.deny.length === 0 ? [] : [`Never sends: ${egress.deny.map(visible).join(', ')}`]),
  ];
}

export const jobNetwork = command({
  usage: 'rnx job network show|allow|deny|reset|flows JOB [RULE...]',
  summary: 'Shows or changes what a running job may send; flows shows what it did.',
  notes: [
    'RULE is [PROTOCOL:]WHERE[:PORTS]: tcp:*.example.org:443, 192.0.2.0/24, udp:*:53.',
    'The first rule that allows something makes the list all that is reached.',
    'Open connections come under the new rules at once.',
  ],
  examples: [
    'rnx job network allow f47ac10b tcp:pypi.org:443',
    'rnx job network deny f47ac10b 10.0.0.0/8',
  ],
  flags: { follow: { kind: 'switch', short: 'f', help: 'flows: go on with what comes' } },
  words: [2, Number.POSITIVE_INFINITY],
  missing: 'what of which job? Say rnx job network show JOB (rnx job list shows them)',
  run: async ({ follow }, [verb = '', uuid = '', ...rules], session) => {
    if (verb === 'flows') {
      const { showFlows } = await import('./flows.ts');
      return showFlows(uuid, follow, session);
    }
    const egress = await ask(verb, uuid, rules, session);
    const lines = egressLines(egress);
    const text = lines.length === 0 ? ['Sends: all that its network reaches'] : lines;
    await session.out.write(session.json ? jsonText({ uuid, ...egress }) : `${text.join('\n')}\n`);
    return 0;
  },
});

async function ask(verb: string, uuid: string, rules: readonly string[], session: Session) {
  const needsRule = verb === 'allow' || verb === 'deny';
  if (needsRule && rules.length === 0) {
    const example = `rnx job network ${verb} ${visible(uuid)} tcp:example.org:443`;
    throw new JobletError('invalid', `which rule? Say ${example}`);
  }
  const connection = await session.connect();
  const deadline = { deadlineMs: session.deadlineMs(DEADLINE_MS) };
  switch (verb) {
    case 'show':
      return (await connection.unary(getJobStatus, { uuid }, deadline)).egress;
    case 'allow':
      return connection.unary(changeJobEgress, { uuid, allow: rules }, deadline);
    case 'deny':
      return connection.unary(changeJobEgress, { uuid, deny: rules }, deadline);
    case 'reset':
      return connection.unary(changeJobEgress, { uuid, reset: true }, deadline);
    default:
      throw new JobletError(
        'invalid',
        `${visible(verb)} is not known; say show, allow, deny, reset or flows`,
      );
  }
}
