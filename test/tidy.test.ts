// The rules of the house that a machine can check. docs/architecture.md gives their reasons.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { files, findCircle, functionsOf, importsOf, longest, ROOT, read } from './tidy-sources.ts';

const typescript = files.filter((file) => file.endsWith('.ts'));
const sources = typescript.filter((file) => file.startsWith('src/') && !isTest(file));
const documents = files.filter((file) => file.endsWith('.md'));

function isTest(file: string): boolean {
  return file.endsWith('.test.ts');
}

function isIn(file: string, ...folders: readonly string[]): boolean {
  return folders.some((folder) => file.startsWith(`${folder}/`));
}

/** Fails with every finding on a line of its own. */
function assertNone(findings: readonly string[]): void {
  assert.equal(findings.length, 0, `\n${findings.join('\n')}\n`);
}

// ---- who may import whom -------------------------------------------------------------------------

/** Folders of the daemon by rank: each may import what stands below it. */
const daemonRanks: readonly (readonly string[])[] = [
  ['web'],
  ['rpc', 'doctor'],
  ['workflows', 'builder', 'alerts'],
  ['jobs'],
  ['runtimes', 'volumes', 'networks', 'gpus', 'telemetry'],
  ['archive'],
  ['audit', 'logs'],
  ['linux', 'store'],
];

/** Where code of each area may reach outside of itself. */
const reach: Readonly<Record<string, readonly string[]>> = {
  shared: [],
  gen: [],
  client: ['shared', 'gen'],
  cli: ['client', 'shared', 'gen'],
  daemon: ['shared', 'gen'],
  // The program in the builder's sandbox; it has nothing but these sources.
  builder: ['shared'],
};

function rankOf(file: string): number {
  const folder = /^src\/daemon\/(\w+)\//.exec(file)?.[1] ?? '';
  return daemonRanks.findIndex((rank) => rank.includes(folder));
}

const ownImports = sources
  .flatMap(importsOf)
  .filter(({ to }) => isIn(to, 'src', 'test', 'bench', 'tools'));

test('code reaches only the areas below its own (S3-4, S3-8)', () => {
  assertNone(
    ownImports
      .filter(({ from, to }) => {
        const [, here = ''] = from.split('/');
        const [top, there = ''] = to.split('/');
        return top !== 'src' || (here !== there && reach[here]?.includes(there) !== true);
      })
      .map(({ from, to }) => `${from} imports ${to}`),
  );
});

test('folders of the daemon call downwards only', () => {
  assertNone(
    ownImports
      .filter(({ from, to }) => {
        const [above, below] = [rankOf(from), rankOf(to)];
        const isInside = path.dirname(from) === path.dirname(to);
        return above >= 0 && below >= 0 && !isInside && below <= above;
      })
      .map(({ from, to }) => `${from} imports ${to}`),
  );
});

test('no two folders need each other', () => {
  // A file directly in src/daemon stands for itself: config.ts is not main.ts.
  const unit = (file: string) => (path.dirname(file) === 'src/daemon' ? file : path.dirname(file));
  const edges = new Map<string, Set<string>>();
  for (const { from, to } of ownImports) {
    if (unit(from) === unit(to)) continue;
    const targets = edges.get(unit(from)) ?? new Set();
    edges.set(unit(from), targets.add(unit(to)));
  }
  assert.equal(findCircle(edges)?.join(' -> '), undefined);
});

test('only rpc, the client and tests know the generated code', () => {
  assertNone(
    ownImports
      .filter(({ to }) => isIn(to, 'src/gen'))
      .filter(({ from }) => !isIn(from, 'src/gen', 'src/daemon/rpc', 'src/client', 'src/cli'))
      .map(({ from, to }) => `${from} imports ${to}`),
  );
});

// ---- who may know what ---------------------------------------------------------------------------

interface Knowledge {
  readonly title: string;
  readonly pattern: RegExp;
  readonly allowed: readonly string[];
}

const knowledge: readonly Knowledge[] = [
  {
    title: 'only linux/ reads and writes the kernel’s files',
    pattern: /['"`]\/(proc|sys)\//,
    // The default place of the cgroups is a value that an operator may change.
    allowed: ['src/daemon/linux/', 'src/daemon/config-keys.ts'],
  },
  {
    title: 'only linux/, and the program in the builder’s sandbox, start programs',
    pattern: /from 'node:child_process'/,
    allowed: ['src/daemon/linux/', 'src/builder/'],
  },
  {
    title: 'only one file and the client know the status codes of gRPC',
    pattern: /import \{[^}]*\bstatus\b[^}]*\} from '@grpc\/grpc-js'/,
    allowed: ['src/daemon/rpc/errors.ts', 'src/client/'],
  },
];

for (const { title, pattern, allowed } of knowledge) {
  test(title, () => {
    assertNone(
      sources
        .filter((file) => !allowed.some((place) => file.startsWith(place)))
        .filter((file) => pattern.test(read(file))),
    );
  });
}

test('nothing waits by sleeping', () => {
  const pattern = /timers\/promises|Promise[^;]{0,40}=> setTimeout\(|Atomics\.wait\(/;
  assertNone(
    typescript
      // A bench lets the machine calm down; no result waits for that.
      .filter((file) => isIn(file, 'src', 'test', 'tools') && file !== 'test/tidy.test.ts')
      .filter((file) => pattern.test(read(file))),
  );
});

// ---- words ---------------------------------------------------------------------------------------

test('names say what a thing is', () => {
  const empty = /\b(class|interface|type|function) \w*(Manager|Helper|Util|Utils|Impl|Adapter)\b/;
  const drawers = /(^|\/)(types|utils|helpers|interfaces|common)\.ts$/;
  assertNone([
    ...typescript.filter((file) => drawers.test(file)),
    ...sources.filter((file) => !isIn(file, 'src/gen') && empty.test(read(file))),
  ]);
});

test('no file speaks of the machine it was written on', () => {
  const words = [
    '/work/' + 'main',
    '/work/' + 'shared',
    'registry' + '.npmjs',
    '/home/' + '[a-z]+/',
  ];
  const pattern = new RegExp(words.join('|'));
  const texts = files.filter((file) => !/\.(binpb|png|zip|gz)$/.test(file));
  assertNone(texts.filter((file) => pattern.test(read(file))));
});

test('what is left to do is not left in comments', () => {
  const pattern = new RegExp(`\\b(TO${'DO'}|FIX${'ME'}|XX${'X'}|HA${'CK'})\\b`);
  assertNone(
    files
      .filter((file) => /\.(ts|c|h|sh|proto)$/.test(file))
      .filter((file) => pattern.test(read(file))),
  );
});

test('a skipped test says why', () => {
  const pattern =
    /skip: true|todo: true|\.(skip|todo)\(\s*\)|\b(test|it|describe)\.(skip|todo|only)\(/;
  assertNone(
    typescript.filter(
      (file) => isTest(file) && file !== 'test/tidy.test.ts' && pattern.test(read(file)),
    ),
  );
});

test('the lock file has every package that another one may want, on every platform', () => {
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, Record<string, Record<string, string>>>;
  };
  // Without them `npm ci` installs nothing, on any platform.
  assertNone(
    Object.entries(packages).flatMap(([place, { dependencies, optionalDependencies }]) =>
      Object.keys({ ...dependencies, ...optionalDependencies })
        .filter((name) => !isLocked(packages, place, name))
        .map((name) => `${name}, for ${place}`),
    ),
  );
});

/** Whether what a package at `place` imports by a name is there: below it, or below what it lies in. */
function isLocked(packages: object, place: string, name: string): boolean {
  for (let at = place; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    if (Object.hasOwn(packages, path.posix.join(at, 'node_modules', name))) return true;
    if (at === '') return false;
  }
}

// ---- documents -----------------------------------------------------------------------------------

test('every link in the documents leads somewhere', () => {
  assertNone(
    documents.flatMap((file) =>
      [...read(file).matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)/g)]
        .map(([, target = '']) => path.join(path.dirname(file), target))
        .filter((target) => !existsSync(path.join(ROOT, target)))
        .map((target) => `${file} links to ${target}`),
    ),
  );
});

test('every invariant names a test that exists', () => {
  const rows = read('docs/invariants.md')
    .split('\n')
    .filter((line) => /^\| I-\d+/.test(line));
  assert.ok(rows.length > 0);
  const numbers = rows.map((row) => row.split('|')[1]?.trim());
  assert.equal(new Set(numbers).size, numbers.length, 'a number stands twice');
  assertNone(
    rows.filter((row) => {
      const cell = row.split('|').at(-2)?.trim() ?? '';
      if (/^arrives with \w/.test(cell)) return false;
      const named = [...cell.matchAll(/`([^`]+\.test\.ts)`: ([^;]+)/g)];
      return named.length === 0 || named.some(([, file = '', title = '']) => !holds(file, title));
    }),
  );
});

function holds(file: string, title: string): boolean {
  return files.includes(file) && read(file).includes(title.trim());
}

test('every example is used by a test or a document', () => {
  const readers = [...documents, ...typescript.filter(isTest)].filter(
    (file) => !isIn(file, 'examples'),
  );
  const texts = readers.map(read).join('\n');
  assertNone(
    files
      .filter((file) => isIn(file, 'examples'))
      .filter((file) => !texts.includes(path.basename(file))),
  );
});

test('the longest files and functions are reported, to be asked about', (t) => {
  const own = [
    ...sources.filter((file) => !isIn(file, 'src/gen')),
    ...files.filter((file) => /\.[ch]$/.test(file)),
  ];
  const lengths = own.map((file) => ({ what: file, lines: read(file).split('\n').length }));
  t.diagnostic(`longest files: ${longest(lengths, 5)}`);
  t.diagnostic(`longest functions: ${longest(own.flatMap(functionsOf), 5)}`);
});
