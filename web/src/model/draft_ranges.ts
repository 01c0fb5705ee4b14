// Which characters of a reply were guessed by the MTP head and accepted. The server streams a chunk
// per token, each with counters: a chunk whose `draft_n_accepted` is higher than the one before
// carries an accepted draft. Ranges of the source text are then found again in rendered markdown.
import type { Ranges } from "./types.ts";

/** Appends [start, end), joining it with the last range when they touch. Empty ranges are dropped. */
export function addRange(ranges: Ranges, start: number, end: number): void {
  if (end <= start) return;
  if (ranges.length > 0 && ranges[ranges.length - 1] === start) ranges[ranges.length - 1] = end;
  else ranges.push(start, end);
}

/** Counts rises of `draft_n_accepted` along the stream. */
export class AcceptedCounter {
  private last = 0;

  /** True when the chunk with this counter carries an accepted draft. */
  rose(accepted: number | undefined): boolean {
    if (accepted === undefined) return false;
    const rose = accepted > this.last;
    this.last = accepted;
    return rose;
  }
}

/** The part of `ranges` inside [start, end), counted from start. */
export function sliceRanges(ranges: Ranges, start: number, end: number): Ranges {
  const slice: Ranges = [];
  for (let i = firstEndingAfter(ranges, start); i < ranges.length && ranges[i]! < end; i += 2) {
    const from = Math.max(ranges[i]!, start);
    const to = Math.min(ranges[i + 1]!, end);
    if (from < to) slice.push(from - start, to - start);
  }
  return slice;
}

/** Index of the first range that ends behind `place`. */
function firstEndingAfter(ranges: Ranges, place: number): number {
  let low = 0;
  let high = ranges.length / 2;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[2 * middle + 1]! > place) high = middle;
    else low = middle + 1;
  }
  return 2 * low;
}

// How far ahead in the source a rendered character is looked for: long enough to pass a link's
// address or a fence's line, short enough that one odd character cannot use up the rest.
const kLookAhead = 512;
const kMarkup = "*_`~#[]()>|!-:";

/**
 * Where the characters of rendered text come from. Rendering drops markup (`**`, `#`, fences) and
 * keeps the rest in order, so the rendered characters are looked for one after the other. White
 * space is looked for behind markup only: rendering adds line ends of its own between elements, and
 * chasing those would run past real text.
 * @param source the markdown
 * @param rendered the text of the rendered nodes, joined
 * @returns for every rendered character its place in source, or -1 where it has none (a character
 *   that rendering made up)
 */
export function alignRendered(source: string, rendered: string): Int32Array {
  const places = new Int32Array(rendered.length).fill(-1);
  let at = 0;
  for (let i = 0; i < rendered.length; ++i) {
    const place = isSpace(rendered[i]!) ? findSpace(source, at) : find(source, rendered[i]!, at);
    if (place === -1) continue;
    places[i] = place;
    at = place + 1;
  }
  return places;
}

function find(source: string, wanted: string, from: number): number {
  const end = Math.min(source.length, from + kLookAhead);
  for (let place = from; place < end; ++place) if (source[place] === wanted) return place;
  return -1;
}

function findSpace(source: string, from: number): number {
  const end = Math.min(source.length, from + kLookAhead);
  for (let place = from; place < end; ++place) {
    if (isSpace(source[place]!)) return place;
    if (!kMarkup.includes(source[place]!)) return -1;
  }
  return -1;
}

function isSpace(character: string): boolean {
  return character === " " || character === "\n" || character === "\t" || character === "\r";
}

/** Ranges of the rendered text whose characters lie in `ranges` of the source. */
export function renderedRanges(source: string, rendered: string, ranges: Ranges): Ranges {
  const result: Ranges = [];
  if (ranges.length === 0) return result;
  const places = alignRendered(source, rendered);
  let r = 0;
  for (let i = 0; i < places.length; ++i) {
    const place = places[i]!;
    if (place === -1) continue;
    while (r < ranges.length && ranges[r + 1]! <= place) r += 2;
    if (r < ranges.length && place >= ranges[r]!) addRange(result, i, i + 1);
  }
  return result;
}
