// The text of a workflow without the values of its secrets: those of `secret_environment`, and those
// in `environment` whose names say that they are secret.

import { isMap, isScalar, parseDocument, visit, type YAMLMap } from 'yaml';
import { isSecretName } from './workflow-template.ts';
import { type PlainNode, parsePlainYaml } from './yaml-plain.ts';

const MASK = '"***"';

/** Which names of a map are those of secrets. */
const hidden = {
  secret_environment: () => true,
  environment: isSecretName,
} as const satisfies Record<string, (name: string) => boolean>;

/** The text with a mask in the place of each secret; what might hold one and is no YAML becomes empty. */
export function maskSecrets(text: string): string {
  // Most have none; a key that stands there in another way needs a backslash.
  if (!/environment|\\/.test(text)) return text;
  const plain = parsePlainYaml(text);
  const plainRanges = plain && rangesIn(plain);
  if (plainRanges !== undefined) return masked(text, plainRanges);
  const document = parseDocument(text, {
    schema: 'failsafe',
    uniqueKeys: false,
    logLevel: 'error',
  });
  if (document.errors.length > 0) return '';
  const ranges: Range[] = [];
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
      const word = String(key.value);
      if (Object.hasOwn(hidden, word)) hide(value, hidden[word as keyof typeof hidden]);
    },
  });
  return masked(text, ranges);
}

type Range = readonly [start: number, end: number];

function masked(text: string, ranges: readonly Range[]): string {
  let shown = '';
  let done = 0;
  for (const [start, end] of ranges.toSorted(([a], [b]) => a - b)) {
    if (start < done) continue;
    // A block of lines ends with the last of them.
    shown += text.slice(done, start) + MASK + (text[end - 1] === '\n' ? '\n' : '');
    done = end;
  }
  return shown + text.slice(done);
}

/** Where the secrets of a plain text stand; undefined where one of them is more than a word on a line. */
function rangesIn(node: PlainNode): readonly Range[] | undefined {
  if (node.kind === 'list') return joined(node.items.map(rangesIn));
  if (node.kind !== 'map') return [];
  return joined(
    node.pairs.map(({ key, value }) => {
      const inside = rangesIn(value);
      if (value.kind !== 'map' || !Object.hasOwn(hidden, key)) return inside;
      const own = value.pairs.map(({ key: name, value: secret }) => {
        if (!hidden[key as keyof typeof hidden](name)) return [];
        return secret.kind === 'scalar' ? [[secret.start, secret.end] as const] : undefined;
      });
      return joined([inside, ...own]);
    }),
  );
}

function joined(all: readonly (readonly Range[] | undefined)[]): readonly Range[] | undefined {
  return all.includes(undefined) ? undefined : all.flatMap((one) => one ?? []);
}
