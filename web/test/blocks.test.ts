import assert from "node:assert/strict";
import { test } from "node:test";
import { GrowingBlocks, splitBlocks, type Block } from "../src/markdown/blocks.ts";
import { markdown } from "../src/markdown/parser.ts";

const kText = `Intro with *words*
and a second line.

Title
-----

- one
- two

  more of two
1. first
2. second

\`\`\`python
def f():

    return 1
\`\`\`
| a | b |
|---|--:|
| 1 | 2 |

> quote
> goes on
lazily

<div>html

text</div>

    indented code

***

Formula \\(x_1 * y_2 * z\\) and $$a_b$$ end.
`;

const raws = (blocks: Block[]) => blocks.map((block) => [block.start, block.raw]);

test("blocks stand where they say", () => {
  const blocks = splitBlocks(kText);
  assert.ok(blocks.length > 9);
  for (const { start, raw } of blocks) assert.equal(kText.slice(start, start + raw.length), raw);
});

test("a growing text has the blocks of a text that was there at once", () => {
  for (let step = 1; step < 12; ++step) {
    const growing = new GrowingBlocks();
    for (let length = 0; length < kText.length + step; length += step) {
      const text = kText.slice(0, length);
      assert.deepEqual(raws(growing.update(text)), raws(splitBlocks(text)), `step ${step}, ${length}`);
    }
  }
});

test("settled blocks are not read again, another text is read anew", () => {
  const growing = new GrowingBlocks();
  const before = growing.update("one\n\ntwo\n\nthree\n\nfour");
  const after = growing.update("one\n\ntwo\n\nthree\n\nfour and more");
  assert.equal(after[0], before[0]);
  assert.equal(after[1], before[1]);
  assert.notEqual(after[3], before[3]);
  assert.deepEqual(raws(growing.update("five")), [[0, "five"]]);
});

test("HTML and pictures of a model are text and links", () => {
  const html = markdown.parse("<b>x</b>\n\na <i onclick=1>b</i> ![p](https://e.example/p.png)") as string;
  assert.match(html, /&lt;b&gt;x&lt;\/b&gt;/);
  assert.match(html, /&lt;i onclick=1&gt;/);
  assert.match(html, /<a href="https:\/\/e\.example\/p\.png">p<\/a>/);
  assert.doesNotMatch(html, /<img|<b>|<i /);
});

test("formulas are shown as they were written", () => {
  const html = markdown.parse("so \\(x_1 * y * z_2\\) and \\[a<b\\]") as string;
  assert.match(html, /<span class="formula">x_1 \* y \* z_2<\/span>/);
  assert.match(html, /<span class="formula">a&lt;b<\/span>/);
});
