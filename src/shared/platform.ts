// The machines that runtimes are built for, by the names that each world has for them.

export interface Platform {
  /** As specifications write it: `linux/amd64`. */
  readonly name: string;
  /** As Debian calls the architecture. */
  readonly debian: string;
  /** As the kernel calls the machine. */
  readonly machine: string;
  /** The folder of its libraries below /lib and /usr/lib. */
  readonly libraries: string;
  /** The dynamic linker of its glibc. */
  readonly linker: string;
}

export const platforms = {
  x64: {
    name: 'linux/amd64',
    debian: 'amd64',
    machine: 'x86_64',
    libraries: 'x86_64-linux-gnu',
    linker: '/lib64/ld-linux-x86-64.so.2',
  },
  arm64: {
    name: 'linux/arm64',
    debian: 'arm64',
    machine: 'aarch64',
    libraries: 'aarch64-linux-gnu',
    linker: '/lib/ld-linux-aarch64.so.1',
  },
} as const satisfies Readonly<Record<string, Platform>>;

/** The platform of a machine as Node calls its architecture, or undefined where nothing is built. */
export function platformOf(arch: string): Platform | undefined {
  return Object.hasOwn(platforms, arch) ? platforms[arch as keyof typeof platforms] : undefined;
}

/** Families of distributions whose names stand in platforms such as `ubuntu-amd64`. */
const families = ['linux', 'ubuntu', 'debian', 'rhel', 'centos', 'amzn'] as const;

/**
 * Whether a platform of a specification means this one: `linux/amd64`, `amd64`, `x86_64`,
 * `ubuntu-amd64`. A tree is complete, so the distribution of the host says nothing.
 */
export function meansPlatform(word: string, platform: Platform): boolean {
  const parts = word.split(/[/-]/);
  const machine = parts.at(-1) ?? '';
  const isFamily = parts.length === 1 || families.some((family) => family === parts[0]);
  return isFamily && (machine === platform.debian || machine === platform.machine);
}

/** What to say where none of a specification's platforms is the machine's. */
export function platformWarnings(words: readonly string[], arch: string): string[] {
  const here = platformOf(arch);
  if (here !== undefined && words.some((word) => meansPlatform(word, here))) return [];
  const name = here?.name ?? arch;
  return [
    `platforms: it cannot be built here; this node is ${name}, and it is for ${words.join(', ')}`,
  ];
}
