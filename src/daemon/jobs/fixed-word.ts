// A word that whatever an expression finds has in it. Looking for bytes is a hundred times as fast as
// matching, so lines without the word need not be matched.

/** A shorter word is in most lines anyway. */
const LEAST_CHARS = 3;

/** What stands for itself: printable ASCII without the signs of the syntax. */
const PLAIN = /^[\w !"#%&',/:;<=>@`~-]$/;

/** Escapes that stand for no character of a word, and leave what comes behind them as it is. */
const CLASS = /^[dDsSwWbB]$/;

/**
 * The longest word that stands in an expression of RE2 as it is, outside of groups and choices. Undefined
 * where there is none, or none that can be told without understanding more of it.
 */
export function fixedWord(pattern: string): string | undefined {
  if (/\||\(\?/.test(pattern)) return undefined;
  let word = '';
  let longest = '';
  const end = () => {
    if (word.length > longest.length) longest = word;
    word = '';
  };
  for (let at = 0; at < pattern.length; at += 1) {
    const char = pattern[at] ?? '';
    if (PLAIN.test(char)) {
      word += char;
      continue;
    }
    // What is repeated need not be there.
    if (char === '*' || char === '?' || char === '{') word = word.slice(0, -1);
    if (char === '\\') {
      at += 1;
      const escaped = pattern[at] ?? '';
      if (/^[!-/:-@[-`{-~]$/.test(escaped)) {
        word += escaped;
        continue;
      }
      if (!CLASS.test(escaped)) return undefined;
    }
    end();
    const close = skipped(pattern, at);
    if (close === undefined) return undefined;
    at = close;
  }
  end();
  return longest.length >= LEAST_CHARS ? longest : undefined;
}

/** Where the class, the group or the repetition ends that begins here; where there is none, here. */
function skipped(pattern: string, at: number): number | undefined {
  const closing = { '[': ']', '(': ')', '{': '}' }[pattern[at] ?? ''];
  if (closing === undefined) return at;
  // A bracket that stands first in a class stands for itself.
  const first = pattern[at] === '[' ? /^\^?\]?/.exec(pattern.slice(at + 1))?.[0].length : 0;
  const close = pattern.indexOf(closing, at + 1 + (first ?? 0));
  const inside = pattern.slice(at + 1, close);
  // What nests or is escaped takes more than this to be understood.
  return close < 0 || /[\\[({]/.test(inside) ? undefined : close;
}
