// A block of Markdown to safe nodes. What the parser made of it goes through DOMPurify with a short list
// of what may stay; then links, tables, code and accepted drafts get what they need.
import DOMPurify from "dompurify";
import { renderedRanges } from "../model/draft_ranges.ts";
import type { Ranges } from "../model/types.ts";
import type { Block } from "./blocks.ts";
import { markdown } from "./parser.ts";

/** Nodes of a block, with the characters of `drafts` (ranges of its raw text) marked. */
export function renderBlock(block: Block, drafts: Ranges): DocumentFragment {
  const html = markdown.parser([block.token]);
  const nodes = DOMPurify.sanitize(html, {
    RETURN_DOM_FRAGMENT: true,
    ALLOWED_TAGS: kAllowedTags,
    ALLOWED_ATTR: kAllowedAttributes,
    // All others must look like an allowed address.
    ADD_URI_SAFE_ATTR: kPlainAttributes,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    ALLOWED_URI_REGEXP: kAllowedAddress,
  });
  for (const link of nodes.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  for (const table of nodes.querySelectorAll("table")) wrap(table, "table-scroll");
  if (drafts.length > 0) markDrafts(nodes, block.raw, drafts);
  for (const code of nodes.querySelectorAll("pre")) addCodeBar(code);
  return nodes;
}

const kAllowedTags = (
  "a blockquote br code del div em h1 h2 h3 h4 h5 h6 hr input li ol p pre span strong sub sup " +
  "table tbody td th thead tr ul"
).split(" ");
const kPlainAttributes = ["title", "class", "start", "align", "type", "checked", "disabled"];
const kAllowedAttributes = ["href", ...kPlainAttributes];
const kAllowedAddress = /^(?:https?|mailto):/i;

/** Puts every marked stretch of text into a span of class "draft". */
function markDrafts(nodes: DocumentFragment, source: string, drafts: Ranges): void {
  const texts: Text[] = [];
  const walker = document.createTreeWalker(nodes, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) texts.push(walker.currentNode as Text);
  const marked = renderedRanges(source, texts.map((text) => text.data).join(""), drafts);
  let start = 0;
  let r = 0;
  for (const text of texts) {
    const end = start + text.length;
    if (isLayout(text)) {
      while (r < marked.length && marked[r + 1]! <= end) r += 2;
      start = end;
      continue;
    }
    const pieces = document.createDocumentFragment();
    let at = start;
    while (r < marked.length && marked[r]! < end) {
      const from = Math.max(marked[r]!, at);
      const to = Math.min(marked[r + 1]!, end);
      pieces.append(text.data.slice(at - start, from - start));
      const span = document.createElement("span");
      span.className = "draft";
      span.textContent = text.data.slice(from - start, to - start);
      pieces.append(span);
      at = to;
      if (marked[r + 1]! > end) break; // goes on in the next node
      r += 2;
    }
    if (at > start) {
      pieces.append(text.data.slice(at - start));
      text.replaceWith(pieces);
    }
    start = end;
  }
}

/** White space between rows or items: a span there would become a cell of the table. */
function isLayout(text: Text): boolean {
  return text.data.trim() === "" && !text.parentElement?.closest("pre, p, li, td, th, code");
}

function wrap(element: Element, className: string): HTMLElement {
  const wrapper = document.createElement("div");
  wrapper.className = className;
  element.replaceWith(wrapper);
  wrapper.append(element);
  return wrapper;
}

/** A bar above code: its language, and a button that the message's click handler answers. */
function addCodeBar(code: HTMLPreElement): void {
  const language = /language-([\w+#-]+)/.exec(code.firstElementChild?.className ?? "")?.[1] ?? "";
  code.tabIndex = 0; // wide code is scrolled with the keyboard
  const bar = document.createElement("div");
  bar.className = "code-bar";
  const label = document.createElement("span");
  label.textContent = language || "text";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy-code";
  button.textContent = "Copy";
  bar.append(label, button);
  wrap(code, "code-block").prepend(bar);
}
