/** Reading a cause report: numbers against what was expected, places of the UI that a link names. */
import type { Candidate, Evidence, Incident } from '../api/reliability';
import type { Json } from '../api/types';
import type { Status } from '../design/tokens';
import { parseSearch, type Search, validSearch } from './search';

/** A link of an answer as a path and the search that this application understands; null when it leads elsewhere. */
export function placeOfLink(link: string | null | undefined): { path: string; search: Search } | null {
  if (!link?.startsWith('/') || link.startsWith('//')) return null;
  const [path = '/', query = ''] = link.split('#')[0]?.split('?') ?? [];
  return { path, search: validSearch(parseSearch(query)) };
}

export const isWebLink = (link: string | null | undefined): link is string => /^https?:\/\//i.test(link ?? '');

/** How many times the value is what was expected; null where that says nothing. */
export function factorOf({ value, expected }: Pick<Evidence, 'value' | 'expected'>): number | null {
  if (value === null || expected === null || expected <= 0 || value < 0) return null;
  return value / expected;
}

export function evidenceOf(candidate: Candidate): { supporting: Evidence[]; contradicting: Evidence[] } {
  return {
    supporting: candidate.evidence.filter((each) => !each.contradicts),
    contradicting: candidate.evidence.filter((each) => each.contradicts),
  };
}

export const columnNames = (columns: (string | { name: string })[]): string[] =>
  columns.map((column) => (typeof column === 'string' ? column : column.name));

/** The largest number of a column of which every cell is one, written as a number or as text; null for any other column. */
export function columnPeak(rows: readonly Json[][], column: number): number | null {
  const cells = rows.map((row) => row[column]);
  if (rows.length < 2 || !cells.every((cell) => /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(String(cell ?? '')))) return null;
  return Math.max(0, ...cells.map(Number));
}

export const incidentStatus = (incident: Pick<Incident, 'state' | 'severity'>): Status =>
  incident.state === 'resolved' ? 'ok' : incident.severity === 'page' ? 'crit' : 'warn';

/** Open before resolved, then the newest first. */
export function byUrgency(a: Incident, b: Incident): number {
  const open = (incident: Incident): number => (incident.state === 'open' ? 0 : 1);
  return open(a) - open(b) || Date.parse(b.started_at) - Date.parse(a.started_at);
}

/** `why checkout` and `为什么 checkout` ask for the cause at a service; null for any other text. */
export function whyOf(text: string): string | null {
  return /^(?:why|为什么|为何)\s*(.*)$/i.exec(text.trim())?.[1]?.trim() ?? null;
}
