// A text as its top-level pieces: paragraphs, lists, fences. While a reply grows only its last pieces
// are read anew, so that a long reply costs no more per token than a short one.
import type { Token } from "marked";
import { markdown } from "./parser.ts";

export interface Block {
  raw: string;
  /** Where it begins in the text. */
  start: number;
  token: Token;
}

export function splitBlocks(text: string, from = 0): Block[] {
  const blocks: Block[] = [];
  let start = from;
  for (const token of markdown.lexer(text.slice(from))) {
    if (token.type !== "space" && token.type !== "def") blocks.push({ raw: token.raw, start, token });
    start += token.raw.length;
  }
  return blocks;
}

// What follows can still change the last block (a list goes on, a line of dashes makes a heading), and
// the one before it when the last was made of its end.
const kUnsettled = 2;

export class GrowingBlocks {
  private text = "";
  private blocks: Block[] = [];

  /** The blocks of a text; those that are settled are the same objects as the last time. */
  update(text: string): Block[] {
    const settled = this.blocks.slice(0, -kUnsettled);
    const next = this.blocks[settled.length];
    if (next && settled.length > 0 && text.startsWith(this.text)) {
      this.blocks = [...settled, ...splitBlocks(text, next.start)];
    } else {
      this.blocks = splitBlocks(text);
    }
    this.text = text;
    return this.blocks;
  }
}
