// A job's output on somebody's terminal. Whoever wrote the job must not get to move the cursor, set
// the title, answer queries or paste: every control character is written out as text. Newline and tab
// stay; a carriage return becomes a new line, so that progress bars can be read and nothing that was
// shown is written over.

const ESCAPE = 0x1b;

/**
 * Anything that is not shown as it is: controls, and marks that turn the direction of text around and
 * make it read as what it is not. Most output has none of it.
 */
const special = /[^\P{Cc}\t\n]|\p{Bidi_Control}/u;

const AS_IT_IS = { ignoreBOM: true } as const;

/** Turns the pieces of one stream into harmless text; characters may be cut between pieces. */
export class TerminalText {
  readonly #decoder = new TextDecoder('utf-8', AS_IT_IS);
  /** The last character was a carriage return: a newline after it belongs to it. */
  #returned = false;
  /** What came of a character that is not whole yet. */
  #begun: Uint8Array = new Uint8Array();

  /** So many bytes were held back at the end of the last piece. */
  get heldBytes(): number {
    return this.#begun.length;
  }

  /** The text of the next piece as it is, for where nothing acts on it. */
  decode(piece: Uint8Array): string {
    this.#begun = begunIn(this.#begun, piece);
    return this.#decoder.decode(piece, { stream: true });
  }

  /** The harmless text of the next piece. */
  push(piece: Uint8Array): string {
    return this.#harmless(this.decode(piece));
  }

  /** What is left when the stream has ended: a character that was never finished. */
  end(): string {
    return this.#harmless(this.#decoder.decode());
  }

  #harmless(text: string): string {
    if (!this.#returned && !special.test(text)) return text;
    let result = '';
    for (const character of text) {
      const paired = this.#returned && character === '\n';
      this.#returned = character === '\r';
      if (!paired) result += harmless(character);
    }
    return result;
  }
}

const MOST_BEGUN_BYTES = 3;

/** What a decoder holds back at the end of a piece, behind what it had held back before. */
function begunIn(held: Uint8Array, piece: Uint8Array): Uint8Array {
  const last = piece.at(-1);
  if (last === undefined) return held;
  if (last < 0x80) return new Uint8Array();
  const end = Buffer.concat([held, piece.subarray(-MOST_BEGUN_BYTES)]);
  for (let bytes = Math.min(end.length, MOST_BEGUN_BYTES); bytes > 0; bytes -= 1) {
    const begun = end.subarray(-bytes);
    // Another decoder knows what may become a character still.
    if (new TextDecoder('utf-8', AS_IT_IS).decode(begun, { stream: true }) === '') return begun;
  }
  return new Uint8Array();
}

function harmless(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (character === '\n' || character === '\t') return character;
  if (character === '\r') return '\n';
  // As `cat -v` shows them: ^[ for escape, ^? for delete.
  if (code < 0x20) return `^${String.fromCharCode(code + 0x40)}`;
  if (code === 0x7f) return '^?';
  if (code < 0x80) return character;
  if (code < 0xa0)
    return `^${String.fromCharCode(ESCAPE + 0x40)}${String.fromCharCode(code - 0x40)}`;
  return special.test(character)
    ? `<U+${code.toString(16).toUpperCase().padStart(4, '0')}>`
    : character;
}
