// Where packages come from, as apt's own files say it: in one line for each source, or in stanzas. The
// builder asks the same mirrors as the host, for whatever suite it builds.

import type { Distribution } from '../../shared/build-base.ts';

export interface AptSource {
  readonly uri: string;
  readonly suite: string;
  readonly components: readonly string[];
  /** A file or a key; empty is any key that apt trusts. */
  readonly signedBy: string;
  readonly isTrusted: boolean;
}

/** Parts of a suite that have suites of their own. */
const POCKETS = ['', '-updates', '-security'] as const;
/** What belongs to the distribution itself; others have names of their own for their parts. */
const MAIN = 'main';

/** Reads a file of `sources.list.d` or `sources.list`; what is no source of packages is left out. */
export function parseSources(text: string): AptSource[] {
  return /^(Types|URIs|Suites):/im.test(text) ? parseStanzas(text) : parseLines(text);
}

function parseLines(text: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const [, options = '', rest = ''] = /^\s*deb\s+(?:\[([^\]]*)\]\s*)?([^#]*)/.exec(line) ?? [];
    const [uri = '', suite = '', ...components] = rest.trim().split(/\s+/);
    if (uri === '' || suite === '') return [];
    const option = (name: string) =>
      options
        .split(/\s+/)
        .find((word) => word.startsWith(`${name}=`))
        ?.slice(name.length + 1) ?? '';
    const signedBy = option('signed-by');
    return [{ uri, suite, components, signedBy, isTrusted: option('trusted') === 'yes' }];
  });
}

function parseStanzas(text: string): AptSource[] {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const fields = new Map<string, string>();
    let last = '';
    for (const line of stanza.split('\n').filter((each) => !each.startsWith('#'))) {
      const [, name = '', value = ''] = /^([A-Za-z-]+):\s*(.*)$/.exec(line) ?? [];
      if (name !== '') last = name.toLowerCase();
      const before = fields.get(last);
      // A key can stand in the file itself, line below line.
      if (last !== '') fields.set(last, name === '' ? `${before}\n${line}` : value);
    }
    const words = (name: string) => (fields.get(name) ?? '').split(/\s+/).filter((word) => word);
    const isOff = /^(no|false)$/i.test(fields.get('enabled') ?? '');
    if (isOff || !words('types').includes('deb')) return [];
    const signedBy = (fields.get('signed-by') ?? '').trim();
    const isTrusted = /^yes$/i.test(fields.get('trusted') ?? '');
    const components = words('components');
    return words('uris').flatMap((uri) =>
      words('suites').map((suite) => ({ uri, suite, components, signedBy, isTrusted })),
    );
  });
}

/** What the host is: `debian` and `bookworm`. */
export interface HostRelease {
  readonly id: string;
  readonly codename: string;
}

/**
 * The sources of a suite: those that are configured for it by name, or else the host's own with
 * the name of its suite replaced. Empty when the host is of another distribution.
 */
export function sourcesFor(
  wanted: { readonly distribution: Distribution; readonly suite: string },
  configured: readonly AptSource[],
  ofHost: readonly AptSource[],
  host: HostRelease,
): AptSource[] {
  const named = [...configured, ...ofHost].filter((source) => isOf(source, wanted.suite));
  if (named.length > 0) return named;
  if (host.id !== wanted.distribution || host.codename === '') return [];
  return ofHost
    .filter((source) => isOf(source, host.codename))
    .map((source) => ({
      ...source,
      suite: wanted.suite + source.suite.slice(host.codename.length),
    }));
}

function isOf({ suite, components }: AptSource, codename: string): boolean {
  const isPocket = POCKETS.some((pocket) => suite === `${codename}${pocket}`);
  return isPocket && components.includes(MAIN);
}

/** A source in one line; `keyring` is the file that its `signedBy` has become. */
export function formatSource(source: AptSource, keyring: string): string {
  const options = [
    ...(keyring === '' ? [] : [`signed-by=${keyring}`]),
    ...(source.isTrusted ? ['trusted=yes'] : []),
  ];
  const bracket = options.length === 0 ? '' : `[${options.join(' ')}] `;
  return `deb ${bracket}${source.uri} ${source.suite} ${source.components.join(' ')}`;
}

/** `ID` and `VERSION_CODENAME` of /etc/os-release. */
export function parseRelease(text: string): HostRelease {
  const field = (name: string) =>
    new RegExp(`^${name}=["']?([^"'\\n]*)`, 'm').exec(text)?.[1]?.trim() ?? '';
  return { id: field('ID'), codename: field('VERSION_CODENAME') };
}
