// What `joblet-launch inspect` wrote in a job, and which promises that keeps.

import { environmentOf } from '../jobs/plan.ts';
import { readBootId } from '../linux/boot.ts';
import type { Finding } from './check.ts';

/** A promise to jobs, and whether a job saw it kept. */
export interface Promised extends Finding {
  readonly name: string;
}

/** What the program inside wrote: its results by kind and name. */
type Inspection = ReadonlyMap<string, ReadonlyMap<string, string>>;

export function parseInspection(text: string): Inspection {
  const seen = new Map<string, Map<string, string>>();
  for (const line of text.split('\n')) {
    const [kind = '', name = '', result = ''] = line.split('\t');
    if (kind === '') continue;
    const results = seen.get(kind) ?? new Map<string, string>();
    seen.set(kind, results.set(name, result));
  }
  return seen;
}

/** What a job finds where something is refused, hidden or not there. */
const REFUSALS =
  /^(EPERM|EACCES|EROFS|ENOENT|ENOSYS|ENXIO|EAFNOSUPPORT|EPROTONOSUPPORT|EINVAL|masked)$/;

const DESCRIPTORS = ['0', '1', '2'];
const DEVICES = [
  ...['fd', 'full', 'null', 'ptmx', 'pts', 'random', 'shm', 'stderr', 'stdin', 'stdout', 'tty'],
  ...['urandom', 'zero'],
];
/** Its init and itself. */
const PROCESSES = 2;
/** Fewer than this were tried only if something is wrong with the check itself. */
const LEAST_CALLS = 60;

/** The job asks for no variable of its own. */
const PLAIN = { environment: {}, secretEnvironment: {} };

/** Judges what the program inside saw; a failed check names the promise. */
export function fromInside(seen: Inspection, identity: string, hostname: string): Promised[] {
  const names = (kind: string) => [...(seen.get(kind)?.keys() ?? [])].toSorted();
  const not = (kind: string, wanted: RegExp) =>
    [...(seen.get(kind) ?? [])]
      .filter(([, result]) => !wanted.test(result))
      .map(([name, result]) => `${name}: ${result}`);
  const judge = (name: string, problems: readonly string[], found: string): Promised =>
    problems.length === 0
      ? { name, state: 'ok', found }
      : { name, state: 'missing', found: problems.join(', ') };
  const same = (name: string, kind: string, wanted: readonly string[]) => {
    const found = names(kind);
    const isSame = found.join() === wanted.toSorted().join();
    return judge(name, isSame ? [] : [`${kind}s ${found.join(', ') || 'none'}`], found.join(', '));
  };
  const calls = Number(seen.get('calls')?.get('native') ?? 0);
  const conventions = names('calls').join(', ');
  const identities = seen.get('identity');
  const own: Readonly<Record<string, string>> = {
    'host name': hostname,
    'boot id': identity,
    'machine id': identity.replaceAll('-', ''),
  };
  const strange = Object.entries(own).filter(([name, value]) => identities?.get(name) !== value);
  const hostBoot =
    identities?.get('boot id') === readBootId() ? ['it has the boot id of the host'] : [];
  return [
    same('no descriptor but three', 'descriptor', DESCRIPTORS),
    same('devices', 'device', DEVICES),
    same('environment', 'variable', Object.keys(environmentOf(PLAIN, { environment: {} }, ''))),
    judge(
      'no process of others',
      seen.get('processes')?.get('/proc') === String(PROCESSES) ? [] : ['it sees others'],
      `${seen.get('processes')?.get('/proc')} processes: its init and itself`,
    ),
    judge(
      'an identity of its own',
      [...strange.map(([name]) => `${name}: ${identities?.get(name)}`), ...hostBoot],
      names('identity').join(', '),
    ),
    judge('places to write', not('write', /^ok$/), names('write').join(', ')),
    judge('nothing else is open to it', not('refuse', REFUSALS), `${names('refuse').length} tried`),
    judge('what tells of the host is hidden', not('hide', /^empty$/), names('hide').join(', ')),
    judge(
      'refused system calls',
      calls < LEAST_CALLS ? [`only ${calls} tried`] : not('reached', /^$/),
      `${calls} tried, ${conventions}`,
    ),
  ];
}
