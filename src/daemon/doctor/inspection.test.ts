import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromInside, parseInspection } from './inspection.ts';

const IDENTITY = '11111111-2222-4333-8444-555555555555';
const HOST_NAME = 'job-11111111';

/** What the program writes in a sound job. */
const sound = [
  ...['0', '1', '2'].map((name) => `descriptor\t${name}\t`),
  ...['fd', 'full', 'null', 'ptmx', 'pts', 'random', 'shm', 'stderr', 'stdin', 'stdout'].map(
    (name) => `device\t${name}\t`,
  ),
  ...['tty', 'urandom', 'zero'].map((name) => `device\t${name}\t`),
  ...['HOME', 'HOSTNAME', 'LANG', 'PATH', 'USER'].map((name) => `variable\t${name}\t`),
  'processes\t/proc\t2',
  `identity\thost name\t${HOST_NAME}`,
  `identity\tboot id\t${IDENTITY}`,
  `identity\tmachine id\t${IDENTITY.replaceAll('-', '')}`,
  'write\t/work\tok',
  'refuse\t/usr\tEROFS',
  'hide\t/proc/kcore\tempty',
  'calls\tnative\t71',
];

function wanting(lines: readonly string[]): string[] {
  return fromInside(parseInspection(lines.join('\n')), IDENTITY, HOST_NAME)
    .filter(({ state }) => state !== 'ok')
    .map(({ name, found }) => `${name}: ${found}`);
}

test('a sound job keeps every promise that is looked at from inside', () => {
  assert.deepEqual(wanting(sound), []);
});

/** One line more, or another one in the place of the one that begins like it. */
const weakenings: readonly (readonly [line: string, sentence: RegExp])[] = [
  ['descriptor\t7\t', /^no descriptor but three: .*7/],
  ['device\tkmsg\t', /^devices: .*kmsg/],
  ['variable\tSSH_AUTH_SOCK\t', /^environment: .*SSH_AUTH_SOCK/],
  ['processes\t/proc\t90', /^no process of others: /],
  ['identity\thost name\thost', /^an identity of its own: host name: host/],
  ['write\t/work\tEROFS', /^places to write: \/work: EROFS/],
  ['refuse\t/usr\tok', /^nothing else is open to it: \/usr: ok/],
  ['hide\t/proc/kcore\tok', /^what tells of the host is hidden: \/proc\/kcore/],
  ['reached\tmount\tEFAULT', /^refused system calls: mount: EFAULT/],
  ['calls\tnative\t3', /^refused system calls: only 3 tried/],
];

test('a promise that is not kept is named', () => {
  for (const [line, sentence] of weakenings) {
    const [kind, name] = line.split('\t');
    const others = sound.filter((each) => !each.startsWith(`${kind}\t${name}\t`));
    const [first = 'nothing', ...more] = wanting([...others, line]);
    assert.match(first, sentence);
    assert.deepEqual(more, []);
  }
});

test('a job that said nothing kept no promise', () => {
  assert.ok(wanting([]).length >= 5, wanting([]).join('; '));
});
