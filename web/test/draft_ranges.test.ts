import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AcceptedCounter,
  addRange,
  alignRendered,
  renderedRanges,
  sliceRanges,
} from "../src/model/draft_ranges.ts";

test("ranges that touch are joined, empty ones dropped", () => {
  const ranges: number[] = [];
  addRange(ranges, 2, 4);
  addRange(ranges, 4, 4);
  addRange(ranges, 4, 7);
  addRange(ranges, 9, 10);
  assert.deepEqual(ranges, [2, 7, 9, 10]);
});

test("a chunk carries an accepted draft when the counter rose with it", () => {
  const counter = new AcceptedCounter();
  const rises = [undefined, 0, 1, 2, 2, undefined, 2, 3, 5].map((n) => counter.rose(n));
  assert.deepEqual(rises, [false, false, true, true, false, false, false, true, true]);
});

test("a slice of ranges counts from its own start", () => {
  const ranges = [2, 7, 9, 10, 20, 30];
  assert.deepEqual(sliceRanges(ranges, 0, 100), ranges);
  assert.deepEqual(sliceRanges(ranges, 5, 25), [0, 2, 4, 5, 15, 20]);
  assert.deepEqual(sliceRanges(ranges, 7, 9), []);
  assert.deepEqual(sliceRanges([], 0, 9), []);
  for (let start = 0; start < 32; ++start) {
    for (let end = start; end < 32; ++end) {
      const wanted: number[] = [];
      for (let at = start; at < end; ++at) {
        const inside = ranges.some((from, i) => i % 2 === 0 && from <= at && at < ranges[i + 1]!);
        if (inside) addRange(wanted, at - start, at - start + 1);
      }
      assert.deepEqual(sliceRanges(ranges, start, end), wanted);
    }
  }
});

function tinted(source: string, rendered: string, part: string): string {
  const start = source.indexOf(part);
  const ranges = renderedRanges(source, rendered, [start, start + part.length]);
  let text = "";
  for (let i = 0; i < ranges.length; i += 2) text += rendered.slice(ranges[i], ranges[i + 1]);
  return text;
}

test("tints find their way through dropped markup", () => {
  assert.equal(tinted("a **bold** word", "a bold word", "bold"), "bold");
  assert.equal(tinted("a **bold** word", "a bold word", "old** wo"), "old wo");
  assert.equal(tinted("## Title of it", "Title of it", "Title"), "Title");
  assert.equal(tinted("`x = 1` and", "x = 1 and", "= 1` a"), "= 1 a");
  assert.equal(tinted("see [here](http://h.e) now", "see here now", "now"), "now");
  assert.equal(tinted("```py\nfor x in y:\n  z\n```", "for x in y:\n  z\n", "in y:\n  z"), "in y:\n  z");
});

test("white space that rendering adds does not run away with the text", () => {
  const source = "- one\n- two\n\n- three";
  const rendered = "\n\none\n\ntwo\n\nthree\n";
  assert.equal(tinted(source, rendered, "two"), "two");
  assert.equal(tinted(source, rendered, "three"), "three");
});

test("a character that is not in the source is skipped", () => {
  const places = alignRendered("abc", "aXbYc");
  assert.deepEqual([...places], [0, -1, 1, -1, 2]);
});

test("plain text keeps every range exactly", () => {
  const text = "the quick brown fox\njumps over the lazy dog ".repeat(40);
  for (let seed = 1; seed < 60; ++seed) {
    const ranges: number[] = [];
    for (let at = seed % 7; at + 9 < text.length; at += 3 + ((seed * at) % 11)) {
      addRange(ranges, at, at + 2);
      at += 3;
    }
    assert.deepEqual(renderedRanges(text, text, ranges), ranges);
  }
});
