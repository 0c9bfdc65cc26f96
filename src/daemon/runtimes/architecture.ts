// The words for the architecture of this host, as distributions and people spell it.

const words: Readonly<Record<string, readonly [string, ...string[]]>> = {
  x64: ['x86_64', 'amd64', 'x64'],
  arm64: ['aarch64', 'arm64'],
};

/** The first is what `uname` says. */
export const architectureWords: readonly string[] = words[process.arch] ?? [process.arch];
