/** Edits of filter text (`service:payment level>=warn -health "connection refused"`) as buttons and keys make them. */

/** Terms of a filter: split at blanks outside quotes. An unfinished quote reaches to the end. */
export function terms(filter: string): string[] {
  return filter.match(/(?:[^\s"]|"(?:[^"\\]|\\.)*(?:"|$))+/g) ?? [];
}

const plain = /^[\p{L}\p{N}_.\-/@*]+$/u;

/** A value as the search language reads it back: quoted unless it is one plain word. */
export function quoted(value: string): string {
  return plain.test(value) && !value.startsWith('-') ? value : `"${value.replace(/[\\"]/g, '\\$&')}"`;
}

const keyOf = (key: string): string => (/^[\w.\-/]+$/.test(key) ? key : `"${key}"`);

/** The term that asks `field` to be `value`. */
export function term(field: string, value: string, exclude = false): string {
  return `${exclude ? '-' : ''}${keyOf(field)}:${quoted(value)}`;
}

/** A duration as the least one that the trace list is asked for: a little below, so that what was counted is found. */
export function atLeast(ms: number): string {
  const digits = 10 ** (Math.floor(Math.log10(Math.max(ms, 1e-3))) - 1);
  const least = Math.floor(ms / digits + 1e-9) * digits;
  return `${Number(least.toPrecision(3)).toFixed(Math.max(0, Math.min(6, -Math.floor(Math.log10(digits)))))}ms`;
}

/** `filter` with the term added; its opposite is taken out, and a term that is already there stays once. */
export function withTerm(filter: string, field: string, value: string, exclude = false): string {
  const added = term(field, value, exclude);
  const opposite = term(field, value, !exclude);
  return [...terms(filter).filter((each) => each !== added && each !== opposite), added].join(' ');
}

export function withoutTerm(filter: string, removed: string): string {
  return terms(filter)
    .filter((each) => each !== removed)
    .join(' ');
}

export function hasTerm(filter: string, wanted: string): boolean {
  return terms(filter).includes(wanted);
}

const isLevel = (each: string): boolean => /^-?(level|severity)(>=|<=|>|<|:|=)/.test(each);
const ERRORS = 'level>=error';

export const showsErrorsOnly = (filter: string): boolean => hasTerm(filter, ERRORS);

/** Turns "errors only" on, in place of any other level, or off. */
export function toggleErrors(filter: string): string {
  if (showsErrorsOnly(filter)) return withoutTerm(filter, ERRORS);
  return [...terms(filter).filter((each) => !isLevel(each)), ERRORS].join(' ');
}

/** Words of the filter that are looked for in the text, for highlighting: no fields, nothing excluded, no operators. */
export function textTerms(filter: string): string[] {
  return terms(filter)
    .filter((each) => !each.startsWith('-') && !/^(AND|OR|NOT)$/.test(each) && !/^[\w.\-/]+(:|>=|<=|>|<|=)/.test(each))
    .map((each) =>
      each
        .replace(/^\(+|\)+$/g, '')
        .replace(/^"|"$/g, '')
        .replace(/\*$/, ''),
    )
    .filter((each) => each.length > 0);
}

/** `text` cut at the places where one of `words` stands (letter case ignored), for marking them. */
export function highlighted(text: string, words: readonly string[]): { text: string; hit: boolean }[] {
  if (!words.length) return [{ text, hit: false }];
  const pattern = new RegExp(`(${words.map((each) => each.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')})`, 'giu');
  return text
    .split(pattern)
    .map((part, i) => ({ text: part, hit: i % 2 === 1 }))
    .filter((part) => part.text);
}
