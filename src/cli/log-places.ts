// Where the pieces of a log lie, for whoever goes on behind one of them. A character that is cut in two
// is told when it is whole, so a piece begins where its first character does.

import type { LogChunk } from '../client/messages.ts';

type Piece = Pick<LogChunk, 'stream' | 'position' | 'payload'>;

export class LogPlaces {
  /** Where a character begins that is not whole yet, by its stream. */
  readonly #begun = new Map<string, number>();

  /**
   * Where a piece begins of which so many bytes are held back, with what was held back before it, and
   * where to go on behind it.
   */
  take(piece: Piece, heldBytes: number): { readonly position: number; readonly next: number } {
    const { stream, payload } = piece;
    const position = this.#begun.get(stream) ?? Number(piece.position);
    if (heldBytes === 0) this.#begun.delete(stream);
    // Else it is the one that was begun before.
    else if (heldBytes <= payload.length) this.#begun.set(stream, endOf(piece) - heldBytes);
    return { position, next: this.behind(piece) };
  }

  /** Where to go on behind a piece that was taken: no later than what was told of no stream. */
  behind(piece: Piece): number {
    return Math.min(endOf(piece), ...this.#begun.values());
  }
}

function endOf({ position, payload }: Piece): number {
  return Number(position) + payload.length;
}
