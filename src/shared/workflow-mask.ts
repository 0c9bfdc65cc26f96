// The text of a workflow without the values of its secrets: those of `secret_environment`, and those
// in `environment` whose names say that they are secret.

import { isMap, isScalar, parseDocument, visit, type YAMLMap } from 'yaml';
import { isSecretName } from './workflow-template.ts';

const MASK = '"***"';

/** The text with a mask in the place of each secret; what might hold one and is no YAML becomes empty. */
export function maskSecrets(text: string): string {
  // Most have none; a key that stands there in another way needs a backslash.
  if (!/environment|\\/.test(text)) return text;
  const document = parseDocument(text, {
    schema: 'failsafe',
    uniqueKeys: false,
    logLevel: 'error',
  });
  if (document.errors.length > 0) return '';
  const ranges: [start: number, end: number][] = [];
  const hide = (map: YAMLMap, isHidden: (name: string) => boolean) => {
    for (const { key, value } of map.items) {
      const range = (value as { range?: [number, number, number] } | null)?.range;
      if (range && range[1] > range[0] && isHidden(isScalar(key) ? String(key.value) : '')) {
        ranges.push([range[0], range[1]]);
      }
    }
  };
  visit(document, {
    Pair: (_, { key, value }) => {
      if (!isScalar(key) || !isMap(value)) return;
      if (key.value === 'secret_environment') hide(value, () => true);
      if (key.value === 'environment') hide(value, isSecretName);
    },
  });
  let masked = '';
  let done = 0;
  for (const [start, end] of ranges.sort(([a], [b]) => a - b)) {
    if (start < done) continue;
    // A block of lines ends with the last of them.
    masked += text.slice(done, start) + MASK + (text[end - 1] === '\n' ? '\n' : '');
    done = end;
  }
  return masked + text.slice(done);
}
