// DNS messages (RFC 1035), as far as a resolver between jobs and the host's resolvers has to read and
// write them. Every length is looked at before it is believed; what is not understood is undefined.

export const TYPE_A = 1;
export const TYPE_AAAA = 28;
const TYPE_CNAME = 5;
const CLASS_IN = 1;

export const NO_ERROR = 0;
export const SERVER_FAILURE = 2;
export const NO_SUCH_NAME = 3;
export const REFUSED = 5;

const HEADER_BYTES = 12;
const MAX_NAME_BYTES = 255;
const MAX_LABEL_BYTES = 63;
/** Names point to names: so often at most. */
const MAX_JUMPS = 16;
/** Records of an answer that are looked at. */
const MAX_RECORDS = 256;

const FLAG_RESPONSE = 0x8000;
const FLAG_AUTHORITATIVE = 0x0400;
const FLAG_CUT_OFF = 0x0200;
const FLAG_RECURSION_DESIRED = 0x0100;
const FLAG_RECURSION_AVAILABLE = 0x0080;
const OPCODE_BITS = 0x7800;

export interface Question {
  readonly id: number;
  readonly recursionDesired: boolean;
  /** In lower case, without a dot at its end; bytes that are no ASCII stand for themselves. */
  readonly name: string;
  readonly type: number;
  /** As it was asked, in the very letters. */
  readonly section: Buffer;
}

export interface Answer {
  readonly id: number;
  readonly code: number;
  readonly section: Buffer;
  /** It did not fit: by TCP there is more. */
  readonly isCutOff: boolean;
  /** Of the name that was asked for, or of those that it is another word for. */
  readonly addresses: readonly { readonly address: string; readonly ttlSeconds: number }[];
}

/** A query of one question about the internet. */
export function parseQuery(message: Buffer): Question | undefined {
  const head = readHead(message);
  if (head === undefined || (head.flags & (FLAG_RESPONSE | OPCODE_BITS)) !== 0) return undefined;
  return {
    ...head.question,
    id: head.id,
    recursionDesired: (head.flags & FLAG_RECURSION_DESIRED) !== 0,
  };
}

/** An answer to such a query. */
export function parseAnswer(message: Buffer): Answer | undefined {
  const head = readHead(message);
  if (head === undefined || (head.flags & FLAG_RESPONSE) === 0) return undefined;
  const { question, id, flags } = head;
  const names = new Set([question.name]);
  const addresses: { address: string; ttlSeconds: number }[] = [];
  let at = HEADER_BYTES + question.section.length;
  const count = Math.min(message.readUInt16BE(6), MAX_RECORDS);
  for (let record = 0; record < count; record++) {
    const owner = readName(message, at);
    // Ten bytes of every record say what it is and how long.
    if (owner === undefined || owner.end + 10 > message.length) break;
    const type = message.readUInt16BE(owner.end);
    const ttlSeconds = message.readUInt32BE(owner.end + 4);
    const length = message.readUInt16BE(owner.end + 8);
    const data = owner.end + 10;
    at = data + length;
    if (at > message.length) break;
    if (!names.has(owner.name)) continue;
    if (type === TYPE_CNAME) {
      const alias = readName(message, data);
      if (alias !== undefined) names.add(alias.name);
    }
    const address = readAddress(type, message.subarray(data, at));
    if (address !== undefined) addresses.push({ address, ttlSeconds });
  }
  const isCutOff = (flags & FLAG_CUT_OFF) !== 0;
  return { id, code: flags & 0xf, section: question.section, isCutOff, addresses };
}

/** What a name's addresses are, of the family that was asked for. */
export function formatAnswer(
  question: Question,
  addresses: readonly string[],
  ttlSeconds: number,
): Buffer {
  const records = addresses.flatMap((address) => {
    const type = address.includes(':') ? TYPE_AAAA : TYPE_A;
    if (type !== question.type) return [];
    const data = bytesOf(address);
    const head = Buffer.alloc(HEADER_BYTES);
    head.writeUInt16BE(0xc000 | HEADER_BYTES, 0); // the name in the question
    head.writeUInt16BE(type, 2);
    head.writeUInt16BE(CLASS_IN, 4);
    head.writeUInt32BE(ttlSeconds, 6);
    head.writeUInt16BE(data.length, 10);
    return [Buffer.concat([head, data])];
  });
  return Buffer.concat([headOf(question, NO_ERROR, records.length), question.section, ...records]);
}

export function formatError(question: Question, code: number): Buffer {
  return Buffer.concat([headOf(question, code, 0), question.section]);
}

/** The same message with another id. */
export function withId(message: Buffer, id: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** A query, for tests and for whoever asks. */
export function formatQuery(id: number, name: string, type: number): Buffer {
  const head = Buffer.alloc(HEADER_BYTES);
  head.writeUInt16BE(id, 0);
  head.writeUInt16BE(FLAG_RECURSION_DESIRED, 2);
  head.writeUInt16BE(1, 4);
  const labels = name.split('.').map((label) => {
    const bytes = Buffer.from(label, 'latin1');
    return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  });
  const tail = Buffer.from([0, type >> 8, type & 0xff, 0, CLASS_IN]);
  return Buffer.concat([head, ...labels, tail]);
}

function headOf({ id, recursionDesired }: Question, code: number, answers: number): Buffer {
  const head = Buffer.alloc(HEADER_BYTES);
  head.writeUInt16BE(id, 0);
  const flags = FLAG_RESPONSE | FLAG_AUTHORITATIVE | FLAG_RECURSION_AVAILABLE | code;
  head.writeUInt16BE(flags | (recursionDesired ? FLAG_RECURSION_DESIRED : 0), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(answers, 6);
  return head;
}

function readHead(message: Buffer) {
  if (message.length < HEADER_BYTES || message.readUInt16BE(4) !== 1) return undefined;
  const found = readName(message, HEADER_BYTES);
  // A question's name is written out: there is nothing before it that it could point to.
  if (found === undefined || found.jumped || found.end + 4 > message.length) return undefined;
  if (message.readUInt16BE(found.end + 2) !== CLASS_IN) return undefined;
  return {
    id: message.readUInt16BE(0),
    flags: message.readUInt16BE(2),
    question: {
      name: found.name,
      type: message.readUInt16BE(found.end),
      section: message.subarray(HEADER_BYTES, found.end + 4),
    },
  };
}

/** The name at a place, and where it ends there. */
function readName(message: Buffer, start: number) {
  const labels: string[] = [];
  let at = start;
  let end = -1;
  let bytes = 0;
  for (let jumps = 0; jumps <= MAX_JUMPS; ) {
    const length = message[at];
    if (length === undefined) return undefined;
    if ((length & 0xc0) === 0xc0) {
      const low = message[at + 1];
      if (low === undefined) return undefined;
      if (end < 0) end = at + 2;
      at = ((length & 0x3f) << 8) | low;
      jumps += 1;
    } else if (length > MAX_LABEL_BYTES) {
      return undefined;
    } else if (length === 0) {
      return { name: labels.join('.'), end: end < 0 ? at + 1 : end, jumped: end >= 0 };
    } else {
      bytes += length + 1;
      if (bytes >= MAX_NAME_BYTES || at + 1 + length > message.length) return undefined;
      labels.push(message.toString('latin1', at + 1, at + 1 + length).toLowerCase());
      at += 1 + length;
    }
  }
  return undefined;
}

function readAddress(type: number, data: Buffer): string | undefined {
  if (type === TYPE_A && data.length === 4) return data.join('.');
  if (type !== TYPE_AAAA || data.length !== 16) return undefined;
  return Array.from({ length: 8 }, (_, at) => data.readUInt16BE(2 * at).toString(16)).join(':');
}

/** The bytes of an address as text. */
function bytesOf(address: string): Buffer {
  if (!address.includes(':')) return Buffer.from(address.split('.').map(Number));
  const [before = '', behind] = address.split('::');
  const words = (text: string) =>
    text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16));
  const head = words(before);
  const tail = behind === undefined ? [] : words(behind);
  const all = [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail];
  const bytes = Buffer.alloc(16);
  for (const [at, word] of all.entries()) bytes.writeUInt16BE(word, 2 * at);
  return bytes;
}
