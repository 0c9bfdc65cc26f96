// How far an upload has come, on a terminal.

import type { Output } from './output.ts';
import { roughSize } from './print.ts';

const BAR_COLUMNS = 30;

/** The bar at a point: `[#########           ]  45%  1.20 MB of 2.67 MB`. */
export function progressBar(bytes: number, total: number): string {
  const part = total === 0 ? 1 : Math.min(1, bytes / total);
  const bar = '#'.repeat(Math.floor(part * BAR_COLUMNS)).padEnd(BAR_COLUMNS);
  const percent = String(Math.floor(part * 100)).padStart(3);
  return `[${bar}] ${percent}%  ${roughSize(bytes)} of ${roughSize(total)}`;
}

/** Draws the bar whenever it has grown by a percent; writes nothing where nobody looks. */
export function showProgress(out: Output, total: number): (bytes: number) => void {
  if (!out.terminal) return () => {};
  let shown = -1;
  return (bytes) => {
    const percent = Math.floor((bytes / total) * 100);
    if (percent === shown) return;
    shown = percent;
    out.write(`\r\u001b[K${progressBar(bytes, total)}${bytes >= total ? '\n' : ''}`);
  };
}
