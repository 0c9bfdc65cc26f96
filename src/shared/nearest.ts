// "Did you mean": the known word that a mistyped one is closest to.

/** More edits than this, and the guess would be noise. */
const MAX_EDITS = 2;
const MAX_WORD_CHARS = 64;

/** The candidate that is at most two edits away (letter case counts nothing), or undefined. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > MAX_WORD_CHARS) return undefined;
  let best: string | undefined;
  let bestEdits = MAX_EDITS + 1;
  for (const candidate of candidates) {
    const edits = countEdits(word.toLowerCase(), candidate.toLowerCase());
    if (edits < bestEdits) [best, bestEdits] = [candidate, edits];
  }
  return best;
}

/** How a message about an unknown word goes on: with the one that was meant, or with those there are. */
export function hintAmong(word: string, known: readonly string[]): string {
  // Of short names any other one is near.
  const guess = word.length > 2 ? nearest(word, known) : undefined;
  if (guess !== undefined) return `; did you mean '${guess}'?`;
  const shown = known.slice(0, MAX_SHOWN).join(', ');
  return known.length === 0 ? '' : `; there are ${shown}${known.length > MAX_SHOWN ? ', ...' : ''}`;
}

const MAX_SHOWN = 20;

/** Letters to insert, remove or replace to make one word of the other. */
function countEdits(from: string, to: string): number {
  let above = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row += 1) {
    const here = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const replaced = (above[column - 1] ?? 0) + (from[row - 1] === to[column - 1] ? 0 : 1);
      here.push(Math.min(replaced, (above[column] ?? 0) + 1, (here[column - 1] ?? 0) + 1));
    }
    above = here;
  }
  return above[to.length] ?? 0;
}
