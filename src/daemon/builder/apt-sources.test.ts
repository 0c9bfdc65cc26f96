import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatSource, parseRelease, parseSources, sourcesFor } from './apt-sources.ts';

const stanzas = `
Types: deb deb-src
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----

Enabled: no
Types: deb
URIs: http://off.example
Suites: bookworm
Components: main
`;

const lines = `
# deb http://comment.example bookworm main
deb-src http://source.example bookworm main
deb [arch=amd64 signed-by=/etc/apt/keyrings/x.asc] https://third.example/linux/debian bookworm stable
deb http://mirror.example/debian bookworm main # behind
`;

const host = { id: 'debian', codename: 'bookworm' };

test('sources are read in both of apt’s ways to write them', () => {
  const found = parseSources(stanzas);
  assert.deepEqual(
    found.map(({ uri, suite }) => `${uri} ${suite}`),
    [
      'http://mirror.example/debian bookworm',
      'http://mirror.example/debian bookworm-updates',
      'http://mirror.example/debian-security bookworm-security',
    ],
  );
  assert.match(found[2]?.signedBy ?? '', /^-----BEGIN PGP.*abc.*END/s);
  const [third, plain] = parseSources(lines);
  assert.equal(third?.signedBy, '/etc/apt/keyrings/x.asc');
  assert.deepEqual(third?.components, ['stable']);
  assert.equal(plain && formatSource(plain, ''), 'deb http://mirror.example/debian bookworm main');
});

test('another suite of the distribution comes from the same mirrors', () => {
  const all = [...parseSources(stanzas), ...parseSources(lines)];
  const wanted = { distribution: 'debian', suite: 'trixie' } as const;
  assert.deepEqual(
    sourcesFor(wanted, [], all, host).map(({ uri, suite }) => `${uri} ${suite}`),
    [
      'http://mirror.example/debian trixie',
      'http://mirror.example/debian trixie-updates',
      'http://mirror.example/debian-security trixie-security',
      'http://mirror.example/debian trixie',
    ],
  );
});

test('a suite that is configured by name comes from there, whatever the host is', () => {
  const configured = parseSources('deb http://ubuntu.example noble main universe');
  const wanted = { distribution: 'ubuntu', suite: 'noble' } as const;
  assert.deepEqual(sourcesFor(wanted, configured, parseSources(stanzas), host), configured);
  assert.deepEqual(sourcesFor(wanted, [], parseSources(stanzas), host), []);
});

test('the host’s release is read with and without quotes', () => {
  assert.deepEqual(parseRelease('NAME="X"\nID=debian\nVERSION_CODENAME=bookworm\n'), host);
  assert.deepEqual(parseRelease('ID="rhel"\n'), { id: 'rhel', codename: '' });
});
