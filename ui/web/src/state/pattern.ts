import { term } from './filter';

const HOLE = /<[^<>\s]{1,40}>/;

/** A filter for the records of a pattern: its longest stretch of plain words, as a phrase. */
export function patternFilter(service: string, template: string): string {
  const words = template
    .split(HOLE)
    .map((piece) => piece.replace(/[^\p{L}\p{N}\s_./:-]+/gu, ' ').trim())
    // A hole may stand inside a word: what touches it is not a whole word.
    .map((piece, i, all) => (i < all.length - 1 ? piece.replace(/\S+[=:]$/, '').trim() : piece))
    .sort((a, b) => b.length - a.length)[0];
  return words ? `${term('service', service)} "${words.replace(/\s+/g, ' ')}"` : term('service', service);
}
