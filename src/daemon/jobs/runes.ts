// Characters out of UTF-8, one at a time.

/** What stands for bytes that are no UTF-8. */
const REPLACEMENT = 0xfffd;

/** Of bytes that follow the first one: two bits that say so, and six of the character. */
const FOLLOWING = 0x80;
const FOLLOWING_BITS = 6;

/** By the number of bytes: the bits of the first one that say it, and the least character that needs so many. */
const lengths = [
  { width: 2, mask: 0xe0, mark: 0xc0, least: 0x80 },
  { width: 3, mask: 0xf0, mark: 0xe0, least: 0x800 },
  { width: 4, mask: 0xf8, mark: 0xf0, least: 0x10000 },
] as const;

const MOST_RUNE = 0x10ffff;

/** The character that begins at a byte beyond ASCII, and how many bytes it takes; of what is none, one. */
export function runeAt(
  bytes: Uint8Array,
  at: number,
  to: number,
): { readonly rune: number; readonly width: number } {
  const first = bytes[at] ?? 0;
  const none = { rune: REPLACEMENT, width: 1 };
  const form = lengths.find(({ mask, mark }) => (first & mask) === mark);
  if (form === undefined || at + form.width > to) return none;
  let rune = first & ~form.mask;
  for (let next = at + 1; next < at + form.width; next += 1) {
    const byte = bytes[next] ?? 0;
    if ((byte & 0xc0) !== FOLLOWING) return none;
    rune = (rune << FOLLOWING_BITS) | (byte & ~0xc0);
  }
  const isSurrogate = rune >= 0xd800 && rune <= 0xdfff;
  return rune < form.least || rune > MOST_RUNE || isSurrogate ? none : { rune, width: form.width };
}
