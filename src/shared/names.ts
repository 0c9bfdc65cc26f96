// What jobs, volumes, networks and clients may be called: a word that is safe as a file name, as a
// host name's beginning and on a terminal.

const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;
export const MAX_NAME_CHARS = 63;

/** Volumes of runs of workflows: their names hold the id of the run, and nobody else may take them. */
const RUN_VOLUME = /^(?:workspace|outputs)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:-|$)/;

export function isRunVolume(name: string): boolean {
  return RUN_VOLUME.test(name);
}

export function runVolumeName(kind: 'workspace' | 'outputs', rest: string): string {
  return `${kind}-${rest}`;
}

/** What is wrong with a name, or undefined. */
export function checkName(name: string): string | undefined {
  if (name.length > MAX_NAME_CHARS) {
    return `has ${name.length} characters; use at most ${MAX_NAME_CHARS}`;
  }
  if (NAME.test(name)) return undefined;
  return 'must start with a letter, a digit or _ and go on with letters, digits, _, . and -';
}
