// Plain XML, as S3 stores and nvidia-smi write it: elements with text or with elements, read in one
// pass. Attributes are passed over; declarations of types, which can make a small text a huge one, are
// refused.

import { JobletError } from './errors.ts';

export interface Element {
  readonly name: string;
  readonly children: readonly Element[];
  readonly text: string;
}

const MAX_DEPTH = 16;
/** A page of a list of S3 has a thousand entries of some ten elements, sixteen GPUs as many. */
const MAX_ELEMENTS = 50_000;

/** Whatever it meets, it looks at each byte a bounded number of times. */
const TOKEN = /<\?[^<>]{0,500}\?>|<(\/?)([A-Za-z_][\w.:-]*)(?![\w.:-])([^<>]*)>|<.{0,8}|[^<]+/gsy;

interface Open {
  readonly name: string;
  readonly children: Element[];
  text: string;
}

/** The outermost element. @throws JobletError unavailable: whoever answers so is not who was asked */
export function parseXml(text: string): Element {
  const root: Open = { name: '', children: [], text: '' };
  const open: Open[] = [root];
  let elements = 0;
  for (const [token, slash, name = '', rest = ''] of text.matchAll(TOKEN)) {
    const inner = open.at(-1) ?? root;
    if (!token.startsWith('<')) {
      inner.text += token;
    } else if (token.startsWith('<?') && token.endsWith('?>')) {
      // The declaration of the encoding.
    } else if (name === '') {
      throw notXml(`it holds ${JSON.stringify(token)}`);
    } else if (slash === '/') {
      if (open.length === 1 || inner.name !== name) throw notXml(`</${name}> closes nothing`);
      open.pop();
      open.at(-1)?.children.push(closed(inner));
    } else {
      elements += 1;
      if (elements > MAX_ELEMENTS) throw notXml(`it has more than ${MAX_ELEMENTS} elements`);
      if (open.length > MAX_DEPTH) throw notXml(`it is more than ${MAX_DEPTH} deep`);
      if (rest.endsWith('/')) inner.children.push({ name, children: [], text: '' });
      else open.push({ name, children: [], text: '' });
    }
  }
  const [first, second] = root.children;
  if (open.length > 1) throw notXml(`<${open.at(-1)?.name}> is not closed`);
  if (first === undefined || second !== undefined) throw notXml('it is not one element');
  return first;
}

/** The text of a child; empty where there is none. */
export function textOf(element: Element, name: string): string {
  return childOf(element, name)?.text ?? '';
}

export function childOf(element: Element, name: string): Element | undefined {
  return element.children.find((child) => child.name === name);
}

export function childrenOf(element: Element, name: string): Element[] {
  return element.children.filter((child) => child.name === name);
}

/** Text between elements is layout; only that of an element without others counts. */
function closed({ name, children, text }: Open): Element {
  return { name, children, text: children.length > 0 ? '' : plain(text) };
}

const entities: Readonly<Record<string, string>> = {
  lt: '<',
  gt: '>',
  amp: '&',
  quot: '"',
  apos: "'",
};

const LAST_CODE_POINT = 0x10ffff;

function plain(text: string): string {
  return text.replaceAll(
    /&(?:#x([0-9a-fA-F]{1,6})|#(\d{1,7})|(\w{1,8}));/g,
    (whole, hex, decimal, word) => {
      if (word !== undefined) return entities[word] ?? whole;
      const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
      return code <= LAST_CODE_POINT ? String.fromCodePoint(code) : whole;
    },
  );
}

function notXml(why: string): JobletError {
  return new JobletError('unavailable', `the answer is no XML that was asked for: ${why}`);
}
