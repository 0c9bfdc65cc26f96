// What registries have, as text for people and as JSON.

import type { RegistriesListed } from '../client/runtime-messages.ts';
import { localTime, table, visible } from './print.ts';

/** Versions of a runtime that are told to people. */
const SHOWN_VERSIONS = 3;
/** And of its description. */
const DESCRIPTION_COLUMNS = 60;

const columns = [
  { title: 'RUNTIME', width: 16 },
  { title: 'VERSIONS', width: 10 },
  { title: 'LATEST', width: 8 },
  { title: 'PLATFORMS', width: 12 },
  { title: 'DESCRIPTION', width: 20 },
];

export function registriesText({ registries }: RegistriesListed): string {
  return registries.map(registryText).join('\n');
}

function registryText({
  address,
  updatedTime,
  offers,
}: RegistriesListed['registries'][number]): string {
  const rows = offers.map(({ name, versions, latest, platforms, description }) => [
    visible(name),
    visible(shortList(versions)),
    visible(latest),
    visible(platforms.join(',') || 'any'),
    visible(description),
  ]);
  const [first] = offers;
  const lines = [
    `Registry: ${visible(address)}`,
    ...(updatedTime === '' ? [] : [`Last updated: ${localTime(updatedTime)}`]),
    '',
    ...(first === undefined ? [] : [table(columns, rows, 0, DESCRIPTION_COLUMNS)]),
    `Found ${offers.length} ${offers.length === 1 ? 'runtime' : 'runtimes'}`,
    ...(first === undefined ? [] : installExamples(first)),
  ];
  return `${lines.join('\n')}\n`;
}

function installExamples({ name, latest }: { readonly name: string; readonly latest: string }) {
  return [
    '',
    'To install one:',
    `  rnx runtime install ${visible(name)}`,
    ...(latest === '' ? [] : [`  rnx runtime install ${visible(name)}@${visible(latest)}`]),
  ];
}

function shortList(versions: readonly string[]): string {
  const more = versions.length - SHOWN_VERSIONS;
  return versions.slice(0, SHOWN_VERSIONS).join(',') + (more > 0 ? ` (+${more})` : '');
}

/** One object for each runtime. */
export function registriesJson({ registries }: RegistriesListed): object {
  return registries.flatMap(({ address, updatedTime, offers }) =>
    offers.map((offer) => ({ ...offer, registry: address, updated_time: updatedTime })),
  );
}
