// What a runtime begins with: a suite of Debian or Ubuntu, a language that stands for one, or nothing.

/** Distributions and their suites, as far as we know them; others are taken by name. */
export const distributions = ['debian', 'ubuntu'] as const;
export type Distribution = (typeof distributions)[number];

export type Base =
  | {
      readonly kind: 'suite';
      readonly distribution: Distribution;
      readonly suite: string;
      /** What the suite was chosen for. */
      readonly language?: { readonly name: string; readonly version: string };
      /** Packages that the language is. */
      readonly packages: readonly string[];
    }
  | { readonly kind: 'none' };

export interface BaseWords {
  readonly debian?: string | undefined;
  readonly ubuntu?: string | undefined;
  readonly language?: Language | undefined;
  readonly version?: string | undefined;
  readonly none?: true | undefined;
}

interface Choice {
  readonly distribution: Distribution;
  readonly suite: string;
  readonly packages: readonly string[];
}

const on =
  (distribution: Distribution, suite: string) =>
  (...packages: readonly string[]): Choice => ({ distribution, suite, packages });

const bullseye = on('debian', 'bullseye');
const bookworm = on('debian', 'bookworm');
const trixie = on('debian', 'trixie');
const jammy = on('ubuntu', 'jammy');
const noble = on('ubuntu', 'noble');

/** What Java only recommends, though some of its own libraries do not load without. */
const javaLibraries = ['libfreetype6', 'libharfbuzz0b'] as const;

/** Which suite has a version of a language, and by which packages. */
export const languages = {
  python: {
    '2.7': bullseye('python2'),
    '3.9': bullseye('python3', 'python3-pip'),
    '3.10': jammy('python3', 'python3-pip'),
    '3.11': bookworm('python3', 'python3-pip'),
    '3.12': noble('python3', 'python3-pip'),
    '3.13': trixie('python3', 'python3-pip'),
  },
  java: {
    '11': bullseye('openjdk-11-jdk-headless', ...javaLibraries, 'libasound2'),
    '17': bookworm('openjdk-17-jdk-headless', ...javaLibraries, 'libasound2'),
    '21': trixie('openjdk-21-jdk-headless', ...javaLibraries, 'libasound2t64'),
    '25': trixie('openjdk-25-jdk-headless', ...javaLibraries, 'libasound2t64'),
  },
  node: {
    '12': bullseye('nodejs', 'npm'),
    '18': bookworm('nodejs', 'npm'),
    '20': trixie('nodejs', 'npm'),
  },
  go: {
    '1.15': bullseye('golang-go'),
    '1.19': bookworm('golang-go'),
    '1.24': trixie('golang-go'),
  },
  rust: {
    '1.48': bullseye('rustc', 'cargo'),
    '1.63': bookworm('rustc', 'cargo'),
    '1.85': trixie('rustc', 'cargo'),
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Choice>>>>;

export type Language = keyof typeof languages;

/** The base that the words of a specification mean, which have been checked. */
export function baseOf({ debian, ubuntu, language, version = '' }: BaseWords): Base {
  if (debian !== undefined) return suite({ distribution: 'debian', suite: debian, packages: [] });
  if (ubuntu !== undefined) return suite({ distribution: 'ubuntu', suite: ubuntu, packages: [] });
  if (language === undefined) return { kind: 'none' };
  const versions: Readonly<Record<string, Choice>> = languages[language];
  const found = Object.keys(versions).find(
    (known) => version === known || version.startsWith(`${known}.`),
  );
  const choice = found === undefined ? undefined : versions[found];
  if (choice === undefined) throw new Error(`${language} ${version} has not been checked`);
  return { ...suite(choice), language: { name: language, version } };
}

function suite(choice: Choice): Base & { kind: 'suite' } {
  return { kind: 'suite', ...choice };
}

/** A base for people: `Debian bookworm`. */
export function formatBase(base: Base): string {
  if (base.kind === 'none') return 'an empty tree';
  const { distribution, suite: name } = base;
  return `${distribution === 'debian' ? 'Debian' : 'Ubuntu'} ${name}`;
}
