// A time as people write it: in a while or a while ago (`1hour`, `30min`, `1h30m`), or by their own
// clock unless they name a zone. The daemon gets RFC 3339 in UTC.

import { JobletError } from '../shared/errors.ts';
import { relativeMs } from '../shared/relative-time.ts';

const DAY_MS = 86_400_000;

/** How far ahead a job may be scheduled. */
const FURTHEST_MS = 365 * DAY_MS;
const NEAREST_MS = 1000;

const absolute =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(?: ?([Zz]|[+-](?:[01]\d|2[0-3]):?[0-5]\d))?$/;

/**
 * The moment a job is to run, RFC 3339 in UTC. A time that has passed is allowed: it means now.
 * @throws JobletError invalid, with the ways to write it
 */
export function parseSchedule(text: string, nowMs: number): string {
  const trimmed = text.trim();
  const given = `--schedule: ${JSON.stringify(text)}`;
  const aheadMs = relativeMs(trimmed);
  const atMs = aheadMs === undefined ? absoluteMs(trimmed, given) : nowMs + aheadMs;
  if (aheadMs !== undefined && aheadMs < NEAREST_MS) {
    throw refuse(given, 'is less than a second ahead; leave --schedule out to run at once');
  }
  if (atMs - nowMs > FURTHEST_MS) throw refuse(given, 'is more than 365 days ahead');
  return new Date(atMs).toISOString();
}

/**
 * A moment that has passed, RFC 3339 in UTC: `1h` is an hour ago.
 * @throws JobletError invalid, with the ways to write it
 */
export function parsePast(flag: string, text: string, nowMs: number): string {
  const trimmed = text.trim();
  const agoMs = relativeMs(trimmed);
  const given = `${flag}: ${JSON.stringify(text)}`;
  // A day is its begin.
  const full = /^\d{4}-\d\d-\d\d$/.test(trimmed) ? `${trimmed} 00:00` : trimmed;
  return new Date(agoMs === undefined ? absoluteMs(full, given) : nowMs - agoMs).toISOString();
}

function absoluteMs(trimmed: string, given: string): number {
  const match = absolute.exec(trimmed);
  if (match === null) {
    throw refuse(
      given,
      'is no time; write it like 1hour, 30min, 1h30m, 2026-12-24T18:00:00Z or "2026-12-24 18:00" (your time zone)',
    );
  }
  const [, year, month, day, hour, minute, second = '00', fraction = '0', zone] = match;
  const fields = [year, month, day, hour, minute, second].map(Number);
  const ms = Math.floor(Number(`0.${fraction}`) * 1000);
  const at = zone === undefined ? local(fields, ms, given) : utc(fields, ms, given);
  return at - zoneOffsetMs(zone);
}

function local(fields: readonly number[], ms: number, given: string): number {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = fields;
  const at = new Date(year, month - 1, day, hour, minute, second, ms);
  const back = [at.getFullYear(), at.getMonth() + 1, at.getDate(), at.getHours(), at.getMinutes()];
  if (back.every((value, index) => value === fields[index]) && second < 60) return at.getTime();
  utc(fields, ms, given);
  throw refuse(given, 'does not exist in your time zone: the clock is put forward past it');
}

function utc(fields: readonly number[], ms: number, given: string): number {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = fields;
  const at = new Date(Date.UTC(year, month - 1, day, hour, minute, second, ms));
  const back = [at.getUTCFullYear(), at.getUTCMonth() + 1, at.getUTCDate(), at.getUTCHours()];
  if (back.every((value, index) => value === fields[index]) && minute < 60 && second < 60) {
    return at.getTime();
  }
  throw refuse(given, 'is no time of any day; check day, hour and minute');
}

function zoneOffsetMs(zone: string | undefined): number {
  if (zone === undefined || zone === 'Z' || zone === 'z') return 0;
  const sign = zone.startsWith('-') ? -1 : 1;
  return sign * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2))) * 60_000;
}

function refuse(given: string, what: string): JobletError {
  return new JobletError('invalid', `${given} ${what}`);
}
